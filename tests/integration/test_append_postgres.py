"""Rows appended to a Postgres table: one row a key, however often, in whatever batches, by however many at once."""

import datetime as dt
import logging
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet as pq
from sqlalchemy import NullPool, create_engine

from jobs.common.errors import LoadError
from jobs.common.postgres.append import Append, run
from jobs.common.report import Report
from jobs.common.schemas import JSONB, declared_schema
from tests.conftest import Database
from tests.integration.loading import LOG, load_file, put
from tests.integration.test_load_together import backends, wait_until
from tests.sources.server import Site

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
CHILD = """
import sys
from logging import getLogger
from pyarrow import parquet
from sqlalchemy import NullPool, create_engine
from jobs.common.postgres.append import Append, run
engine = create_engine(sys.argv[1], poolclass=NullPool)
rows = parquet.read_table(sys.argv[2])
print(run(Append("seen", rows, tuple(sys.argv[3:]), "late buses"), engine, getLogger()).rows_loaded)
"""


def seen(numbers: Sequence[int], late: float = 12.5) -> pa.Table:
    """One row a number, told apart by it."""
    rows = [(f"VJ{n:06}", DAY, n % 40, NOON + dt.timedelta(seconds=n), "25:10:00", late, False) for n in numbers]
    return pa.Table.from_pylist([dict(zip(SEEN.names, row, strict=True)) for row in rows], schema=SEEN)


def append(database: Database, rows: pa.Table, table: str = "seen", key: tuple[str, ...] = KEY) -> Report:
    return run(Append(table, rows, key, "late buses"), database.engine, LOG)


def counts(database: Database) -> tuple[int, int]:
    """Rows, and keys."""
    return database.rows(f"SELECT count(*), count(DISTINCT ({', '.join(KEY)})) FROM seen")[0]


def appending(database: Database, path: Path, rows: pa.Table) -> "subprocess.Popen[str]":
    """Append the rows in a process of its own, which can be killed; it prints how many were new."""
    pq.write_table(rows, path)
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, database.url, str(path), *KEY], stdout=subprocess.PIPE, text=True
    )


def holding(database: Database, number: int) -> Any:
    """A transaction that has inserted this one row and has not ended: whoever comes to its key waits."""
    connection = create_engine(database.url, poolclass=NullPool).raw_connection()
    row = tuple(seen([number]).to_pylist()[0].values())
    connection.cursor().execute("INSERT INTO seen VALUES (%s, %s, %s, %s, %s, %s, %s)", row)
    return connection


def test_rows_appended_twice_are_there_once(database: Database) -> None:
    first, again = (append(database, seen(range(100))) for _ in range(2))
    assert (first.status, first.rows_read, first.dropped, first.rows_loaded) == (
        "loaded",
        100,
        {"there already": 0},
        100,
    )
    assert (again.status, again.rows_read, again.dropped, again.rows_loaded) == (
        "loaded",
        100,
        {"there already": 100},
        0,
    )
    assert counts(database) == (100, 100)


def test_of_batches_that_overlap_only_the_new_rows_are_appended(database: Database) -> None:
    reports = [append(database, seen(range(start, start + 50))) for start in (0, 30, 10, 80, 20)]
    assert [report.rows_loaded for report in reports] == [50, 30, 0, 50, 0]
    assert counts(database) == (130, 130)


def test_of_rows_with_one_key_the_first_stays(database: Database) -> None:
    twice = pa.concat_tables([seen([1, 2], late=11.0), seen([2, 3], late=12.0), seen([3, 3], late=13.0)])
    report = append(database, twice)
    assert (report.rows_read, report.dropped, report.rows_loaded) == (6, {"there already": 3}, 3)
    append(database, seen([1, 2, 3], late=14.0))
    found = database.rows("SELECT trip_id, time_diff FROM seen ORDER BY 1")
    assert found == [("VJ000001", 11.0), ("VJ000002", 11.0), ("VJ000003", 12.0)]


@pytest.mark.parametrize(
    "other",
    [
        {"trip_id": "x"},
        {"start_date": DAY - dt.timedelta(days=1)},
        {"stop_sequence": 8},
        {"timestamp": NOON + dt.timedelta(microseconds=1)},
    ],
    ids=KEY,
)
def test_rows_that_differ_in_one_column_of_the_key_are_two(other: dict[str, Any], database: Database) -> None:
    row = seen([0]).to_pylist()[0]
    append(database, pa.Table.from_pylist([row], schema=SEEN))
    assert append(database, pa.Table.from_pylist([row, row | other], schema=SEEN)).rows_loaded == 1


def test_ids_times_nulls_and_empty_texts_stay_what_they_are(database: Database) -> None:
    stamp = dt.datetime(2026, 10, 25, 0, 59, 59, 999999, tzinfo=dt.UTC)
    rows = [
        ("VJ00a-007", DAY, 0, stamp, "25:10:00", None, None),
        ("0012", DAY, 1, stamp, None, -0.5, True),
        ("", DAY, 2, stamp, "", float("inf"), False),
        ("Ünïcode\t\\N\n'\"%s", DAY, 2_147_483_647, stamp, "47:59:59", None, None),
    ]
    append(database, pa.Table.from_pylist([dict(zip(SEEN.names, row, strict=True)) for row in rows], schema=SEEN))
    assert database.contents("seen") == sorted(rows, key=repr)
    types = database.rows("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'seen'::regclass"
                          " AND attnum > 0 ORDER BY attnum")  # fmt: skip
    wanted = ["text", "date", "integer", "timestamp with time zone", "text", "double precision", "boolean"]
    assert [kind for (kind,) in types] == wanted


def test_a_column_of_nulls_only_makes_a_column_of_its_type(database: Database) -> None:
    nothing = pa.nulls(3, pa.float64())
    rows = seen(range(3)).set_column(5, SEEN.field("time_diff"), nothing)
    append(database, rows)
    append(database, seen([7]))
    assert database.rows("SELECT count(*), count(time_diff), max(time_diff) FROM seen") == [(4, 1, 12.5)]


def test_types_that_postgres_lacks_become_those_that_hold_them(database: Database) -> None:
    rows = pa.table(
        {
            "id": pa.array(["a", "b"]).dictionary_encode(),
            "n": pa.array([1, 255], pa.uint8()),
            "days": pa.array([[1, 2], None]),
            "said": pa.array(['{"a": 1}', None]),
        },
        schema=pa.schema(
            [
                ("id", pa.dictionary(pa.int32(), pa.string())),
                ("n", pa.uint8()),
                ("days", pa.list_(pa.int64())),
                pa.field("said", pa.string(), metadata=JSONB),
            ]
        ),
    )
    assert append(database, rows, key=("id",)).rows_loaded == 2
    assert append(database, rows, key=("id",)).rows_loaded == 0
    assert database.contents("seen") == [("a", 1, [1, 2], {"a": 1}), ("b", 255, None, None)]


def test_no_rows_make_no_table(database: Database) -> None:
    report = append(database, seen([]))
    assert (report.status, report.rows_read, report.rows_loaded) == ("unchanged", 0, 0)
    assert database.value("SELECT to_regclass('seen')") is None
    append(database, seen([1]))
    assert append(database, seen([])).status == "unchanged"
    assert counts(database) == (1, 1)


@pytest.mark.parametrize("name", ["other.seen", 'odd "name" % of ours', "public.seen"])
def test_tables_of_any_name(name: str, database: Database) -> None:
    database.run("CREATE SCHEMA other")
    assert [append(database, seen(range(5)), name).rows_loaded for _ in range(2)] == [5, 0]


def test_the_order_of_the_columns_is_free(database: Database) -> None:
    append(database, seen(range(5)))
    assert append(database, seen(range(3, 8)).select(SEEN.names[::-1])).rows_loaded == 3
    assert database.value("SELECT count(*) FROM seen WHERE departure_time = '25:10:00' AND trip_id LIKE 'VJ%'") == 8


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (seen([7]).drop_columns("far"), "Table seen has columns that late buses lacks: far."),
        (seen([7]).append_column("speed", pa.array([1.0])), "Table seen lacks the column 'speed' (double precision)"),
        (
            seen([7]).set_column(5, "time_diff", pa.array(["12 minutes"])),
            "Table seen, column 'time_diff' is double precision; the file's values are text",
        ),
        (
            seen([6, 7]).set_column(2, "stop_sequence", pa.array([1, 1 << 40])),
            "late buses, row 2, column 'stop_sequence': '1099511627776' does not fit the type integer",
        ),
        (
            seen([6, 7]).set_column(4, "departure_time", pa.array(["25:10:00", "a\0b"])),
            "late buses, row 2, column 'departure_time': a NUL character",
        ),
        (
            seen([6, 7]).set_column(0, "trip_id", pa.array(["VJ1", None])),
            "late buses, row 2, column 'trip_id' is empty, but part of the key trip_id, start_date",
        ),
        (seen([7]).drop_columns("trip_id"), "late buses has no column 'trip_id', which is part of the key"),
        (
            seen([7]).set_column(2, "stop_sequence", pa.array([1.0])),
            "late buses, column 'stop_sequence': a double is no part of a key",
        ),
    ],
    ids=[
        "a column too few",
        "a column too many",
        "another type",
        "a number too large",
        "a NUL character",
        "a null in the key",
        "a key column missing",
        "a key that is no key",
    ],
)
def test_rows_that_the_table_cannot_take_change_nothing(rows: pa.Table, says: str, database: Database) -> None:
    append(database, seen(range(5)))
    before = database.contents("seen")
    with pytest.raises(LoadError) as caught:
        append(database, rows)
    assert says in str(caught.value)
    assert not caught.value.transient
    assert database.contents("seen") == before


@pytest.mark.parametrize(
    "index", ["", "CREATE UNIQUE INDEX ON seen (trip_id) WHERE far", "CREATE INDEX ON seen (trip_id)"]
)
def test_a_table_that_does_not_keep_the_key_unique_is_refused(index: str, database: Database) -> None:
    database.run("CREATE TABLE seen (trip_id text, far boolean)")
    if index:
        database.run(index)
    rows = pa.table({"trip_id": ["a"], "far": [True]})
    with pytest.raises(LoadError, match=r'Table seen does not keep trip_id unique.*ADD PRIMARY KEY \("trip_id"\)'):
        append(database, rows, key=("trip_id",))
    database.run('ALTER TABLE seen ADD PRIMARY KEY ("trip_id")')  # what the message says to do
    assert append(database, rows, key=("trip_id",)).rows_loaded == 1


def test_a_table_of_slices_is_refused(database: Database, site: Site) -> None:
    load_file(database, put(site, "a.csv", b"trip_id\na\n"), "seen")
    with pytest.raises(LoadError, match="Table seen has columns that late buses lacks: slice_id"):
        append(database, pa.table({"trip_id": ["b"]}), key=("trip_id",))
    assert database.value("SELECT count(*) FROM seen") == 1


def test_a_table_that_came_in_the_place_of_one_with_slices_has_none(database: Database, site: Site) -> None:
    url = put(site, "a.csv", b"trip_id\na\n")
    load_file(database, url, "seen")
    database.run("DROP TABLE seen")
    append(database, pa.table({"trip_id": ["b"]}), key=("trip_id",))
    with pytest.raises(LoadError, match="Table seen lacks the column slice_id"):  # not: unchanged
        load_file(database, url, "seen")


def test_two_processes_at_once_append_each_row_once(database: Database, tmp_path: Path) -> None:
    append(database, seen([0]))
    held = holding(database, 5_000)
    one = appending(database, tmp_path / "one.parquet", seen(range(1, 20_000)))
    two = appending(database, tmp_path / "two.parquet", seen(range(29_999, 1_000, -1)))
    with one, two:
        wait_until(lambda: len(backends(database, "INSERT INTO%")) == 2)  # both are in the middle of it
        held.rollback()
        loaded = [int(process.communicate(timeout=60)[0]) for process in (one, two)]
    held.close()
    assert (one.returncode, two.returncode) == (0, 0)
    assert sum(loaded) == 29_999
    assert counts(database) == (30_000, 30_000)


def test_first_appends_to_a_new_table_at_once(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tests"), ThreadPoolExecutor(4) as pool:
        reports = list(
            pool.map(lambda start: append(database, seen(range(start, start + 2_000))), range(0, 4_000, 1_000))
        )
    assert sum(report.rows_loaded for report in reports) == 5_000
    assert counts(database) == (5_000, 5_000)


@pytest.mark.parametrize("new", [True, False], ids=["new table", "table with rows"])
def test_kill_9_in_mid_append_leaves_the_table_as_it_was(new: bool, database: Database, tmp_path: Path) -> None:
    if new:
        lock = create_engine(database.url, poolclass=NullPool).raw_connection()
        lock.cursor().execute("CREATE TABLE seen (LIKE pg_class)")  # not committed: CREATE TABLE waits for its name
    else:
        append(database, seen(range(100)))
        before = database.contents("seen")
        lock = holding(database, 5_000)
    with appending(database, tmp_path / "rows.parquet", seen(range(50, 10_000))) as process:
        wait_until(lambda: bool(backends(database, "CREATE TABLE%" if new else "INSERT INTO%")))
        process.send_signal(signal.SIGKILL)
    lock.rollback()
    lock.close()
    wait_until(lambda: not backends(database, "%seen%"))
    if new:
        assert database.value("SELECT to_regclass('seen')") is None
    else:
        assert database.contents("seen") == before
    append(database, seen(range(50, 10_000)))
    assert counts(database) == ((9_950, 9_950) if new else (10_000, 10_000))


def test_an_append_that_waits_for_one_that_fails_adds_the_row(database: Database) -> None:
    append(database, seen([0]))
    held = holding(database, 1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(append, database, seen([1, 2]))
        wait_until(lambda: bool(backends(database, "INSERT INTO%")))
        held.rollback()
        assert waiting.result().rows_loaded == 2
    held.close()


def test_a_reader_sees_a_batch_wholly_or_not_at_all(database: Database) -> None:
    append(database, seen([0]))
    found = set()
    with ThreadPoolExecutor(1) as pool:
        appended = pool.submit(append, database, seen(range(1, 50_000)))
        while not appended.done():
            found.add(counts(database)[0])
        appended.result()
    assert found <= {1, 50_000}
    assert counts(database) == (50_000, 50_000)
