"""Web to GCS: the contenders, each to an object of its own in the emulator of Cloud Storage, and the goals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from google.cloud import bigquery, storage
from pyarrow import parquet as pq

from scripts.bench import results as r
from scripts.bench.inputs import job_python
from scripts.bench.part import FULL, QUICK, TENFOLD, Contender, Input, Part, Place, job, peer
from scripts.bench.results import Goal, Results
from standins.google.clients import clients
from standins.google.start import google_cloud

OBJECT = "data/yellow/{name}.parquet"  # where our job puts the month
SMALL = (QUICK, FULL)  # what is read into memory whole
NOTES = """\
- The limit holds the whole file in memory: download, gunzip (`isal`), `read_csv` of pyarrow with the declared types on
  all cores, `write_table` with zstd to the local disk. It uploads nothing.
- Longshore's load includes the upload, resumable and checked, and reading the footer back.
- The published way is pandas' `read_csv`, `to_parquet(compression="gzip")` to the local disk, then the upload of that
  file by Google's client.
- The load itself of the limit and of the published way begins after their imports.
- The rows that arrived are those in the footer of the object, or of the limit's file. The object is removed before and
  after each run."""


class Lake(Place):
    """The emulator; a target is an object's path, or file:NAME below the bench's folder."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        self.env, self.folder = env, folder
        self.version = f"gcp-storage-emulator {version('gcp-storage-emulator')}"
        self.python = job_python(folder, "web-to-gcs")
        self.bucket: storage.Bucket = services(env)[0].bucket(env["GCS_BUCKET"])
        self.contenders = (
            Contender("limit", "limit: the whole file in memory", "file:in_memory.parquet", self.limit, sizes=SMALL),
            Contender("ours", "Longshore, csv.gz over HTTP", OBJECT, self.ours),
            Contender("pandas", "pandas `to_parquet` as published", "pandas.parquet", self.pandas, sizes=SMALL),
        )

    def path(self, target: str) -> Path:
        """Where the bytes of a target are; reading them over HTTP would only make the bench itself large."""
        kind, _, name = target.rpartition(":")
        return self.folder / name if kind else cloud(self.folder) / ".cloudstorage" / str(self.bucket.name) / name

    def settle(self, target: str) -> None:
        if target.startswith("file:"):
            self.path(target).unlink(missing_ok=True)
        elif self.path(target).exists():
            self.bucket.delete_blob(target, timeout=60)

    def count(self, target: str) -> int:
        return int(pq.read_metadata(self.path(target)).num_rows)

    def limit(self, given: Input, target: str) -> list[str]:
        return peer("in_memory", given.url("csv.gz"), str(self.path(target)), python=self.python)

    def ours(self, given: Input, target: str) -> list[str]:
        return job(self.python, "web_to_gcs", *given.size.options, "--force")

    def pandas(self, given: Input, target: str) -> list[str]:
        return peer("to_parquet", given.url("csv.gz"), str(self.path("file:pandas.parquet")), target)


def cloud(folder: Path) -> Path:
    """Where the emulators keep their data."""
    return folder / "cloud"


def services(env: dict[str, str]) -> tuple[storage.Client, bigquery.Client]:
    """The clients of the emulators."""
    return clients(env["STORAGE_EMULATOR_HOST"], env["BIGQUERY_EMULATOR_HOST"], env["GCP_PROJECT"])


@contextmanager
def place(folder: Path) -> Iterator[Lake]:
    """The emulators, their data below `folder`."""
    with google_cloud(cloud(folder)) as env:
        yield Lake(env, folder)


def goals(results: Sequence[Results]) -> list[Goal]:
    """Of one month, and of ten times the rows."""
    first, last = results
    return [
        Goal(
            "load itself / the limit's load itself",
            "<= 1.3",
            lambda: r.ratio(first.loads("ours"), first.loads(r.LIMIT)),
            lambda value: value <= 1.3,
            "{:.2f}",
        ),
        Goal(
            "times faster than pandas as published",
            ">= 7",
            lambda: first.times("pandas", "ours"),
            lambda value: value >= 7,
            "{:.1f}",
        ),
        *r.memory_goals(first, last, ["ours"], 450, 10),
    ]


PART = Part(
    "gcs",
    "Web to GCS",
    NOTES,
    ("pyarrow", "isal", "google-cloud-storage", "pandas"),
    place,
    (r.HOW, r.SECONDS, r.RATE, r.TIMES, r.LOAD, r.CLIENT, r.PEAK, r.RUNS),
    goals,
    (FULL, TENFOLD),
)
