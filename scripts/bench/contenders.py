"""What is compared: each contender is one command, run in a fresh process into a fresh table."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jobs.datasets.taxi import YELLOW
from scripts.bench.database import Database


@dataclass(frozen=True)
class Size:
    """One size of the input: a month of yellow taxi rows."""

    year: int
    month: int
    rows: int

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return f"yellow_tripdata_{self.year}-{self.month:02}"


@dataclass(frozen=True)
class Setup:
    """Where things are in this run."""

    database: Database
    site: str
    folder: Path
    size: Size
    python: str  # of the job's own environment

    def url(self, ending: str) -> str:
        """The input over local HTTP."""
        return f"{self.site}/files/{self.size.name}.{ending}"

    @property
    def ready(self) -> Path:
        """The same rows as a ready PGCOPY file: what the limit reads."""
        return self.folder / f"{self.size.name}.pgcopy"

    def psql(self, table: str, copy: str) -> list[str]:
        """psql that makes the table and copies into it, in one transaction."""
        columns = ", ".join(f'"{name}" {kind}' for name, kind in YELLOW.items())
        steps = [f"create table {table} ({columns})", rf"\copy {table} from {copy}"]
        base = [self.database.psql, self.database.url, "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1"]
        return base + [part for step in steps for part in ("-c", step)]


@dataclass(frozen=True)
class Contender:
    """`slow` ones run fewer times, and never with ten times the rows."""

    key: str
    title: str
    table: str
    command: Callable[[Setup, str], list[str]]
    slow: bool = False
    python: bool = True  # its process is the one that works, so that its peak memory says something


def _ours_gz(setup: Setup, table: str) -> list[str]:
    size = setup.size
    month = ["--dataset", "yellow", "--year", str(size.year), "--months", str(size.month)]
    return [setup.python, "-m", "jobs.web_to_postgres", *month, "--table", table, "--keep-zero-passengers"]


def _ours_parquet(setup: Setup, table: str) -> list[str]:
    columns = json.dumps(YELLOW)
    source = ["--url", setup.url("parquet"), "--table", table, "--columns", columns]
    return [setup.python, "-m", "jobs.web_to_postgres", *source]


def _limit(setup: Setup, table: str) -> list[str]:
    return setup.psql(table, f"'{setup.ready}' with (format binary)")


def _psql(setup: Setup, table: str) -> list[str]:
    copy = shlex.join(setup.psql(table, "stdin with (format csv, header)"))
    return ["bash", "-c", f"set -o pipefail; curl -fsS {quote(setup.url('csv.gz'), ':/')} | zcat | {copy}"]


def _peer(module: str, url: Callable[[Database], str], *more: str) -> Callable[[Setup, str], list[str]]:
    def command(setup: Setup, table: str) -> list[str]:
        name = table.rpartition(".")[2]
        base = [sys.executable, "-m", f"scripts.bench.peers.{module}", setup.url("csv.gz")]
        return [*base, url(setup.database), name, *more]

    return command


LIMIT = Contender("limit", "limit: binary COPY of a ready file", "bench_limit", _limit, python=False)
OURS_GZ = Contender("ours_gz", "Longshore, csv.gz over HTTP", "bench_ours_gz", _ours_gz)
OURS_PARQUET = Contender("ours_parquet", "Longshore, parquet over HTTP", "bench_ours_parquet", _ours_parquet)
PSQL = Contender("psql", r"`curl \| zcat \| psql \copy`, csv.gz", "bench_psql", _psql, python=False)
DLT_PARQUET = Contender(
    "dlt_parquet",
    "dlt, parquet files by ADBC, from csv.gz",
    "bench_dlt.rides",
    _peer("dlt_load", lambda d: d.dlt_url, "parquet"),
    slow=True,
)
DLT_CSV = Contender(
    "dlt_csv",
    "dlt, csv files by COPY, from csv.gz",
    "bench_dlt.rides",
    _peer("dlt_load", lambda d: d.dlt_url, "csv"),
    slow=True,
)
TO_SQL = Contender(
    "to_sql",
    "pandas `to_sql` as published, csv.gz",
    "bench_to_sql",
    _peer("to_sql", lambda d: d.sqlalchemy_url),
    slow=True,
)
ALL = (LIMIT, OURS_GZ, OURS_PARQUET, PSQL, DLT_PARQUET, DLT_CSV, TO_SQL)
