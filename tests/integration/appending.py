"""Short forms that the tests of appends share, to either sink: the table is `seen`, and so are the rows."""

import datetime as dt
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from longshore.errors import LoadError
from longshore.flows import blocks
from longshore.report import Report
from longshore.schemas import declared_schema
from longshore.sinks.bigquery import append as bigquery
from longshore.sinks.postgres import append as postgres
from tests.conftest import Cloud, Database
from tests.integration.bigquery_loading import Tables, tables
from tests.integration.loading import LOG, SOON

SEEN = declared_schema(
    {
        "trip_id": "text",
        "start_date": "date",
        "stop_sequence": "integer",
        "timestamp": "timestamptz",
        "departure_time": "text",
        "time_diff": "double precision",
        "far": "boolean",
    }
)
KEY = ("trip_id", "start_date", "stop_sequence", "timestamp")
DAY, NOON = dt.date(2026, 10, 25), dt.datetime(2026, 10, 25, 12, tzinfo=dt.UTC)
IN_A_PROCESS = """
import sys
from logging import getLogger
from pyarrow import parquet
target, rows, key = sys.argv[1], parquet.read_table(sys.argv[2]), tuple(sys.argv[3:])
"""
Place = Database | Cloud


def seen(numbers: Sequence[int], late: float = 12.5) -> pa.Table:
    """One row a number, told apart by it."""
    rows = [(f"VJ{n:06}", DAY, n % 40, NOON + dt.timedelta(seconds=n), "25:10:00", late, False) for n in numbers]
    return pa.Table.from_pylist([dict(zip(SEEN.names, row, strict=True)) for row in rows], schema=SEEN)


def append(place: Place, rows: pa.Table, **options: Any) -> Report:
    """Append the rows as the flow does."""
    wanted: dict[str, Any] = {"table": "seen", "key": KEY, "title": "late buses", "rows": rows} | options
    if isinstance(place, Database):
        return postgres.run(postgres.Append(**wanted), place.engine, LOG)
    job = bigquery.Append(**{"dataset": place.dataset, "moment": "timestamp", "cluster": ("trip_id",)} | wanted)
    return bigquery.run(job, blocks.bigquery_client("none"), LOG, SOON)


def appending(code: str, target: str, path: Path, rows: pa.Table) -> "subprocess.Popen[str]":
    """Append the rows in a process of its own, which can be killed; it prints how many were new.

    code: what prints that, given `target`, `rows` and `key`.
    """
    pq.write_table(rows, path)
    command = [sys.executable, "-c", IN_A_PROCESS + code, target, str(path), *KEY]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def counts(place: Place) -> tuple[int, int]:
    """Rows, and keys."""
    keys = f"(SELECT COUNT(*) FROM (SELECT DISTINCT {', '.join(KEY)} FROM seen) AS different)"
    return place.rows(f"SELECT COUNT(*), {keys} FROM seen")[0]


def contents(place: Place) -> Tables:
    """All rows of all tables that there are."""
    if isinstance(place, Cloud):
        return tables(place)
    names = place.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {name: place.contents(name) for (name,) in names}


def refused(place: Place, rows: pa.Table, **options: Any) -> str:
    """What is said of rows that are refused, for good; nothing changes."""
    before = contents(place)
    with pytest.raises(LoadError) as caught:
        append(place, rows, **options)
    assert not caught.value.retryable
    assert contents(place) == before
    return str(caught.value)
