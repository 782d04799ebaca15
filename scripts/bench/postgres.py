"""Web to Postgres: the contenders, each into a fresh table of one Postgres, and the goals."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from longshore.datasets.taxi import YELLOW
from scripts.bench import results as r
from scripts.bench.cold import cold_start
from scripts.bench.database import Database, database
from scripts.bench.inputs import job_python
from scripts.bench.measure import run_process
from scripts.bench.part import FULL, Contender, Input, Part, Place, job, peer
from scripts.bench.results import Goal, Results

OURS = ("ours_gz", "ours_parquet")
NOTES = """- The limit is `psql` sending a ready PGCOPY file into a table of the same 18 columns and types. Longshore's
  table has one more column, the slice's number.
- `psql \\copy` downloads, unpacks and lets Postgres parse the text, in three processes at once.
- `to_sql` is the published way: `read_csv` in chunks of 100,000 rows, dates parsed, `to_sql(if_exists="append")`.
- dlt is fed Arrow tables, its fastest source; its figures include its own files between."""


class Warehouse(Place):
    """One Postgres; a target is a table. Before each run there is a checkpoint."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.env = {"WAREHOUSE_URL": database.sqlalchemy_url}
        self.version = f"Postgres {database.run('show server_version')[0][0]} (settings as they come)"
        self.python = job_python(folder, "web-to-postgres")
        self.contenders = (
            Contender("limit", "limit: binary COPY of a ready file", "bench_limit", self.limit, python=False),
            Contender("ours_gz", "Longshore, csv.gz over HTTP", "bench_gz", self.ours_gz, ours=True),
            Contender("ours_parquet", "Longshore, parquet over HTTP", "bench_parquet", self.ours_parquet, ours=True),
            Contender("psql", r"`curl \| zcat \| psql \copy`, csv.gz", "bench_psql", self.copy_text, python=False),
            _dlt("dlt_parquet", "dlt, parquet files by ADBC, from csv.gz", "parquet", database),
            _dlt("dlt_csv", "dlt, csv files by COPY, from csv.gz", "csv", database),
            Contender(
                "to_sql", "pandas `to_sql` as published, csv.gz", "bench_to_sql", self.to_sql, slow=True, sizes=(FULL,)
            ),
        )

    def settle(self, target: str) -> None:
        self.database.settle(target)

    def count(self, target: str) -> int:
        return self.database.count(target)

    def prepare(self, given: Input) -> None:
        """The limit's input, once: the same rows and types, written by Postgres itself."""
        source, ready = given.folder / "site" / f"{given.size.name}.csv.gz", _ready(given)
        if ready.exists() and ready.stat().st_mtime > source.stat().st_ctime:
            return
        self.settle("bench_ready")
        run_process(self.copy_text(given, "bench_ready"), given.env, given.log("ready"))
        part = ready.with_suffix(".part")
        write = self.psql(rf"\copy bench_ready to '{part}' with (format binary)")
        run_process(write, given.env, given.log("ready"))
        part.replace(ready)
        self.settle("bench_ready")

    def psql(self, *steps: str) -> list[str]:
        """psql that does this in one transaction."""
        base = [self.database.psql, self.database.url, "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1"]
        return base + [part for step in steps for part in ("-c", step)]

    def copy(self, table: str, source: str) -> list[str]:
        """psql that makes the table and copies into it."""
        columns = ", ".join(f'"{name}" {kind}' for name, kind in YELLOW.items())
        return self.psql(f"create table {table} ({columns})", rf"\copy {table} from {source}")

    def limit(self, given: Input, table: str) -> list[str]:
        return self.copy(table, f"'{_ready(given)}' with (format binary)")

    def copy_text(self, given: Input, table: str) -> list[str]:
        copy = shlex.join(self.copy(table, "stdin with (format csv, header)"))
        return ["bash", "-c", f"set -o pipefail; curl -fsS {quote(given.url('csv.gz'), ':/')} | zcat | {copy}"]

    def ours_gz(self, given: Input, table: str) -> list[str]:
        options = [*given.size.options, "--table", table, "--keep-zero-passengers"]
        return job(self.python, "web_to_postgres", *options)

    def ours_parquet(self, given: Input, table: str) -> list[str]:
        options = ["--url", given.url("parquet"), "--table", table, "--columns", json.dumps(YELLOW)]
        return job(self.python, "web_to_postgres", *options)

    def to_sql(self, given: Input, table: str) -> list[str]:
        return peer("to_sql", given.url("csv.gz"), self.database.sqlalchemy_url, table)


def _ready(given: Input) -> Path:
    """The same rows as a ready PGCOPY file: what the limit reads."""
    return given.folder / f"{given.size.name}.pgcopy"


def _dlt(key: str, title: str, files: str, database: Database) -> Contender:
    """dlt, with files of this format between."""

    def command(given: Input, table: str) -> list[str]:
        return peer("dlt_load", given.url("csv.gz"), database.dlt_url, table.rpartition(".")[2], files)

    return Contender(key, title, "bench_dlt.rides", command, slow=True, sizes=(FULL,))


@contextmanager
def place(folder: Path) -> Iterator[Warehouse]:
    """BENCH_DATABASE_URL, or an embedded Postgres."""
    with database(folder / "postgres") as found:
        yield Warehouse(found, folder)


def goals(first: Results, last: Results) -> list[Goal]:
    """first: one month; last: ten times the rows."""

    def below(most: float) -> Callable[[float], bool]:
        return lambda value: value <= most

    return [
        Goal("csv.gz, x limit", "<= 1.25", lambda: first.times("ours_gz"), below(1.25), "{:.2f}"),
        Goal("parquet, x limit", "<= 1.20", lambda: first.times("ours_parquet"), below(1.2), "{:.2f}"),
        Goal("times faster than to_sql", ">= 40", lambda: first.middle("to_sql") / first.middle("ours_gz"),
             lambda v: v >= 40, "{:.0f}"),
        Goal(r"times faster than psql \copy", "> 1", lambda: first.times("psql") / first.times("ours_gz"),
             lambda v: v > 1, "{:.2f}"),
        *r.memory_goals(first, last, OURS, 450, 10),
        Goal("container created -> first line of the flow, s", "<= 6", cold_start, below(6), "{:.1f}"),
    ]  # fmt: skip


PART = Part(
    "postgres",
    "Web to Postgres",
    NOTES,
    ("prefect", "pyarrow", "pgpq", "psycopg2-binary", "sqlalchemy", "pandas", "dlt", "adbc-driver-postgresql"),
    place,
    (r.HOW, r.SECONDS, r.RATE, r.TIMES, r.WHOLE, r.PEAK, r.RUNS),
    goals,
)
