"""GCS to BigQuery: the contenders, each into a fresh dataset of the emulator of BigQuery, and the goals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from os import SEEK_END
from pathlib import Path
from statistics import median

from scripts.bench import results as r
from scripts.bench.gcs import OBJECT, Lake, cloud, services
from scripts.bench.inputs import job_python
from scripts.bench.measure import run_process
from scripts.bench.part import FULL, TENFOLD, Contender, Input, Part, Place, job, peer
from scripts.bench.results import Column, Goal, Results
from standins.google.start import google_cloud

LAST_BYTES = 64 << 10
TAIL = 8  # bytes behind the footer: its length, and PAR1
NOTES = """- The object is the one that web-to-GCS made of the same rows. Each run makes dataset, table and ledger anew.
- *load job*, *other jobs*: how long the service says that they took (end - start): the load job, and all queries, of
  which the transaction is the longest. They are the emulator's, not BigQuery's: DuckDB on the machine's own cores.
- *outside the load job*: the load itself less the load job: all that the process does or waits for besides, the
  transaction included. *outside all jobs*: less the other jobs as well.
- *bytes read*: of the object, as the report says: Longshore asks for the last 64 KiB, because the footer is there, and
  where that is longer for the footer too. pandas reads the object whole.
- The published way downloads the object, reads it with pandas and calls `pandas_gbq.to_gbq(chunksize=500_000,
  if_exists="append")`. pandas-gbq sends all of it as one Parquet file in one load job, whatever the chunk size. It has
  no transaction and no ledger: run twice, the rows are there twice. Its load itself begins after its imports."""


class Bigquery(Place):
    """The emulators; a target is a dataset.table, of which the whole dataset is made anew."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        self.env, self.began, self.footer = env, datetime.now(UTC), 0
        self.version = f"bqemulator {version('bqemulator')} (DuckDB {version('duckdb')})"
        self.python = job_python(folder, "gcs-to-bigquery")
        self.lake = Lake(env, folder)
        self.client = services(env)[1]
        # No small input for pandas-gbq: the emulator takes no upload below 5 MiB, which comes in one request.
        self.contenders = (
            Contender("ours", "Longshore", "bench.rides", self.ours),
            Contender("to_gbq", "pandas-gbq `to_gbq` as published", "bench_gbq.rides", self.to_gbq, sizes=(FULL,)),
        )

    def prepare(self, given: Input) -> None:
        """The object, and what its footer weighs: its length stands before the last four bytes."""
        command = job(self.lake.python, "web_to_gcs", *given.size.options, "--force")
        run_process(command, given.env, given.log("object"))
        with self.lake.path(OBJECT.format(name=given.size.name)).open("rb") as file:
            file.seek(-TAIL, SEEK_END)
            self.footer = int.from_bytes(file.read(4), "little")

    def settle(self, target: str) -> None:
        self.client.delete_dataset(target.partition(".")[0], delete_contents=True, not_found_ok=True, timeout=60)
        self.began = datetime.now(UTC)

    def count(self, target: str) -> int:
        ((rows,),) = self.client.query_and_wait(f"SELECT count(*) FROM {target}")
        return int(rows)

    def observed(self) -> dict[str, float]:
        """How long the service's jobs took since `settle`, by kind; the footer's bytes."""
        seconds = {"load": 0.0, "query": 0.0}
        for done in self.client.list_jobs(max_results=1000, timeout=60):
            if done.started >= self.began:
                seconds[done.job_type] += (done.ended - done.started).total_seconds()
        return seconds | {"footer": self.footer}

    def ours(self, given: Input, target: str) -> list[str]:
        dataset, _, table = target.partition(".")
        options = [*given.size.options, "--dataset", dataset, "--table", table, "--force"]
        return job(self.python, "gcs_to_bigquery", *options)

    def to_gbq(self, given: Input, target: str) -> list[str]:
        return peer("to_gbq", OBJECT.format(name=given.size.name), target)


@contextmanager
def place(folder: Path) -> Iterator[Bigquery]:
    """The emulators, their data below `folder`."""
    with google_cloud(cloud(folder)) as env:
        yield Bigquery(env, folder)


def outside(results: Results, key: str, *kinds: str) -> float:
    """Seconds of the load itself less those of the service's jobs of these kinds, median over the runs."""
    return median(run.said["seconds"] - sum(run.said[kind] for kind in kinds) for run in results.runs[key])


def _footers(length: float) -> float:
    """What is read for a footer of this length: the last 64 KiB, and the footer by itself where it is longer."""
    return LAST_BYTES + (length if length > LAST_BYTES else 0)


COLUMNS: tuple[Column, ...] = (
    r.HOW,
    r.SECONDS,
    r.LOAD,
    ("load job", lambda results, key: f"{results.said(key, 'load'):.2f}"),
    ("other jobs", lambda results, key: f"{results.said(key, 'query'):.2f}"),
    ("outside the load job", lambda results, key: f"{outside(results, key, 'load'):.2f}"),
    ("outside all jobs", lambda results, key: f"{outside(results, key, 'load', 'query'):.2f}"),
    ("bytes read", lambda results, key: f"{results.said(key, 'bytes'):,.0f}"),
    r.CLIENT,
    r.PEAK,
    r.RUNS,
)


def goals(results: Sequence[Results]) -> list[Goal]:
    """Of one month, and of ten times the rows."""
    first, last = results
    rows = f"at {first.rows:,} and {last.rows:,} rows"

    def time(name: str, *kinds: str) -> Goal:
        return Goal(name, "<= 2", lambda: outside(first, "ours", *kinds), lambda value: value <= 2, "{:.2f}")

    def weights(figure: str) -> str:
        return " and ".join(f"{measured.said('ours', figure):,.0f}" for measured in results)

    return [
        time("outside the load job, the transaction's time included, s", "load"),
        time("outside all of the service's jobs, s", "load", "query"),
        Goal(
            f"peak RSS at {last.rows:,} rows against that at {first.rows:,}",
            "within 5 %",
            lambda: 100 * (last.peak("ours") / first.peak("ours") - 1),
            lambda value: abs(value) <= 5,
            "{:+.1f} %",
        ),
        Goal(
            "bytes read besides the footer and the last 64 KiB",
            "0",
            lambda: max(x.said("ours", "bytes") - _footers(x.said("ours", "footer") + TAIL) for x in results),
            lambda value: value <= 0,
            "{:,.0f}",
        ),
        Goal(f"bytes read {rows}", "", lambda: weights("bytes"), bool, ""),
        Goal(f"bytes of the footer {rows}", "", lambda: weights("footer"), bool, ""),
        Goal("times faster than to_gbq", "> 1", lambda: first.times("to_gbq", "ours"), lambda v: v > 1, "{:.1f}"),
    ]


PART = Part(
    "bigquery",
    "GCS to BigQuery",
    NOTES,
    ("google-cloud-bigquery", "google-cloud-storage", "pandas", "pandas-gbq"),
    place,
    COLUMNS,
    goals,
    (FULL, TENFOLD),
)
