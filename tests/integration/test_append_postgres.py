"""Rows appended to a Postgres table: its types and names, what it refuses, several at once, and kill -9."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import NullPool, create_engine

from longshore.errors import LoadError
from longshore.schemas import JSONB
from standins.web.server import Site
from tests.conftest import Database
from tests.integration.appending import append, appending, counts, refused, seen
from tests.integration.loading import load_file, put
from tests.integration.test_load_together import backends, wait_until

CHILD = """
from sqlalchemy import NullPool, create_engine
from longshore.sinks.postgres.append import Append, run
engine = create_engine(target, poolclass=NullPool)
print(run(Append("seen", rows, key, "late buses"), engine, getLogger()).rows_loaded)
"""


def holding(database: Database, number: int) -> Any:
    """A transaction that has inserted this one row and has not ended: whoever comes to its key waits."""
    connection = create_engine(database.url, poolclass=NullPool).raw_connection()
    row = tuple(seen([number]).to_pylist()[0].values())
    connection.cursor().execute("INSERT INTO seen VALUES (%s, %s, %s, %s, %s, %s, %s)", row)
    return connection


def test_the_columns_have_the_types_of_the_rows(database: Database) -> None:
    append(database, seen([1]))
    types = database.rows("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'seen'::regclass"
                          " AND attnum > 0 ORDER BY attnum")  # fmt: skip
    wanted = ["text", "date", "integer", "timestamp with time zone", "text", "double precision", "boolean"]
    assert [kind for (kind,) in types] == wanted


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


@pytest.mark.parametrize("name", ["other.seen", 'odd "name" % of ours', "public.seen"])
def test_tables_of_any_name(name: str, database: Database) -> None:
    database.run("CREATE SCHEMA other")
    assert [append(database, seen(range(5)), table=name).rows_loaded for _ in range(2)] == [5, 0]


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
        "a key that is no key",
    ],
)
def test_rows_that_the_table_cannot_take_change_nothing(rows: pa.Table, says: str, database: Database) -> None:
    append(database, seen(range(5)))
    assert says in refused(database, rows)


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
    one = appending(CHILD, database.url, tmp_path / "one.parquet", seen(range(1, 20_000)))
    two = appending(CHILD, database.url, tmp_path / "two.parquet", seen(range(29_999, 1_000, -1)))
    with one, two:
        wait_until(lambda: len(backends(database, "INSERT INTO%")) == 2)  # both are in the middle of it
        held.rollback()
        loaded = [int(process.communicate(timeout=60)[0]) for process in (one, two)]
    held.close()
    assert (one.returncode, two.returncode) == (0, 0)
    assert sum(loaded) == 29_999
    assert counts(database) == (30_000, 30_000)


@pytest.mark.parametrize("new", [True, False], ids=["new table", "table with rows"])
def test_kill_9_in_mid_append_leaves_the_table_as_it_was(new: bool, database: Database, tmp_path: Path) -> None:
    if new:
        lock = create_engine(database.url, poolclass=NullPool).raw_connection()
        lock.cursor().execute("CREATE TABLE seen (LIKE pg_class)")  # not committed: CREATE TABLE waits for its name
    else:
        append(database, seen(range(100)))
        before = database.contents("seen")
        lock = holding(database, 5_000)
    with appending(CHILD, database.url, tmp_path / "rows.parquet", seen(range(50, 10_000))) as process:
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
