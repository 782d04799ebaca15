"""Web to Postgres: the contenders, each into a fresh table of one Postgres, and the goals."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from longshore.datasets.taxi import YELLOW
from scripts.bench import results as r
from scripts.bench.cold import cold_start
from scripts.bench.database import Database, database
from scripts.bench.inputs import job_python
from scripts.bench.measure import run_process
from scripts.bench.part import FULL, QUICK, TENFOLD, Contender, Input, Part, Place, Size, job, peer
from scripts.bench.peers.shared import create
from scripts.bench.results import Column, Goal, Results

OURS = ("ours_gz", "ours_parquet")
SERVER: Column = ("Postgres processor, s", r.known(Results.server))
ALL = (QUICK, FULL, TENFOLD)
ONE_MONTH = (QUICK, FULL)
# key, title, module below peers, packages that it is not to find, what it reads, of which sizes
PEERS = (
    ("pgpq", "pgpq bare, csv.gz", "pgpq_copy", "", "csv.gz", ALL),
    ("pgpq_parquet", "pgpq bare, parquet", "pgpq_copy", "", "parquet", ONE_MONTH),
    ("psycopg", "psycopg 3, text COPY, csv.gz", "psycopg_copy", "", "csv.gz", ALL),
    ("adbc", "ADBC `adbc_ingest`, csv.gz", "adbc_ingest", "numpy,pandas,polars", "csv.gz", ALL),
    ("adbc_parquet", "ADBC `adbc_ingest`, parquet", "adbc_ingest", "numpy,pandas,polars", "parquet", ONE_MONTH),
    ("duckdb", "DuckDB, csv.gz", "duckdb_attach", "numpy,pandas,polars", "csv.gz", ALL),
    ("duckdb_parquet", "DuckDB, parquet", "duckdb_attach", "numpy,pandas,polars", "parquet", ONE_MONTH),
    ("polars", "Polars `write_database`, csv.gz", "polars_write", "numpy,pandas", "csv.gz", ONE_MONTH),
    ("polars_parquet", "Polars `write_database`, parquet", "polars_write", "numpy,pandas", "parquet", ONE_MONTH),
)
NOTES = """- The limit is `psql` sending a ready PGCOPY file into a table of the same 18 columns and types: nothing is
  downloaded, unpacked or typed.
- Longshore's table has one more column, the slice's number; the same transaction holds the ledger.
- `psql \\copy` downloads, unpacks and lets Postgres type the text, in three processes at once.
- pgpq bare is Longshore's way without its ledger, lock and checks: one thread downloads and gunzips (`isal`), one types
  blocks with pyarrow and encodes them, the main thread sends them by psycopg2 as binary COPY. It runs in Longshore's
  environment.
- psycopg 3 gunzips the text in a thread and sends it to COPY as it is; Postgres types it.
- ADBC is fed a RecordBatchReader, of pyarrow's `open_csv` (gunzipped by `isal` in a thread) or of the parquet file; it
  makes the table and sends binary COPY.
- DuckDB does `create table ... as select * from read_csv(...)` in the attached Postgres, HTTP and Postgres by its own
  extensions, in one thread (more took longer on two cores). Its text column is `character varying`.
- Polars takes the whole file into memory (`read_csv`, `read_parquet`), and `write_database` hands it to ADBC.
- ADBC, DuckDB and Polars import numpy, pandas and one another where these are installed; here they do not find them.
- All of these load into a table that is not there before, with the declared types, in one transaction.
- `to_sql` is the published way: `read_csv` in chunks of 100,000 rows, dates parsed, `to_sql(if_exists="append")`.
- dlt is fed Arrow tables, its fastest source; its figures include its own files between.
- *Postgres processor*: seconds that processors worked for all processes of the server meanwhile; where the database is
  not the bench's own, it is not known."""


class Warehouse(Place):
    """One Postgres; a target is a table. Before each run there is a checkpoint."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.env = {"WAREHOUSE_URL": database.sqlalchemy_url}
        self.version = f"Postgres {database.run('show server_version')[0][0]} (settings as they come)"
        self.python = job_python(folder, "web-to-postgres")
        self.contenders = (
            Contender("limit", "limit: binary COPY of a ready file", "bench_limit", self.limit, python=False),
            Contender("ours_gz", "Longshore, csv.gz", "bench_gz", self.ours_gz),
            Contender("ours_parquet", "Longshore, parquet", "bench_parquet", self.ours_parquet),
            Contender("psql", r"`curl \| zcat \| psql \copy`, csv.gz", "bench_psql", self.copy_text, python=False),
            *(self.told(*one) for one in PEERS),
            _dlt("dlt_parquet", "dlt, parquet files by ADBC, from csv.gz", "parquet", database),
            _dlt("dlt_csv", "dlt, csv files by COPY, from csv.gz", "csv", database),
            Contender(
                "to_sql", "pandas `to_sql` as published, csv.gz", "bench_to_sql", self.to_sql, slow=True, sizes=(FULL,)
            ),
        )

    def told(self, key: str, title: str, module: str, without: str, ending: str, sizes: tuple[Size, ...]) -> Contender:
        """A peer that is told the file's address, the database, the table and its columns."""

        def command(given: Input, table: str) -> list[str]:
            told = [given.url(ending), self.database.url, table, json.dumps(YELLOW)]
            if without:
                return peer("without", without, f"scripts.bench.peers.{module}", *told)
            return peer(module, *told, python=self.python if module == "pgpq_copy" else sys.executable)

        return Contender(key, title, f"bench_{key}", command, sizes=sizes)

    def settle(self, target: str) -> None:
        self.database.settle(target)

    def count(self, target: str) -> int:
        return self.database.count(target)

    def processor(self) -> float | None:
        return self.database.processor()

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
        return self.psql(create(table, YELLOW), rf"\copy {table} from {source}")

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


def goals(results: Sequence[Results]) -> list[Goal]:
    """Of a small file, of one month, and of ten times the rows."""
    small, first, last = results

    def at_most(most: float, goal: str, seconds: Callable[[], float]) -> Goal:
        return Goal(goal, f"<= {most:.2f}", seconds, lambda value: value <= most, "{:.2f}")

    def load(key: str, other: str) -> Callable[[], float]:
        return lambda: r.ratio(first.loads(key), first.seconds(other))

    return [
        at_most(0.8, r"csv.gz: whole process / that of psql \copy", lambda: first.times("ours_gz", "psql")),
        at_most(2, rf"the same at {small.rows:,} rows", lambda: small.times("ours_gz", "psql")),
        at_most(1.05, "csv.gz: load itself / whole process of pgpq bare", load("ours_gz", "pgpq")),
        at_most(1.25, "csv.gz: load itself / whole process of the limit", load("ours_gz", r.LIMIT)),
        at_most(1.2, "parquet: load itself / whole process of the limit", load("ours_parquet", r.LIMIT)),
        Goal("csv.gz: whole process, times faster than to_sql", ">= 40", lambda: first.times("to_sql", "ours_gz"),
             lambda value: value >= 40, "{:.0f}"),
        *r.memory_goals(first, last, OURS, 450, 10),
        Goal("container created -> first line of the flow, s", "<= 6", cold_start, lambda value: value <= 6, "{:.1f}"),
    ]  # fmt: skip


PART = Part(
    "postgres",
    "Web to Postgres",
    NOTES,
    (
        "pyarrow",
        "pgpq",
        "psycopg2-binary",
        "sqlalchemy",
        "psycopg",
        "adbc-driver-postgresql",
        "duckdb",
        "polars",
        "pandas",
        "dlt",
    ),
    place,
    (r.HOW, r.SECONDS, r.RATE, r.TIMES, r.LOAD, r.CLIENT, SERVER, r.PEAK, r.RUNS),
    goals,
    ALL,
)
