"""Rows in are rows out, by value: any type, nulls anywhere, in each format."""

import datetime as dt
import io
import json
import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longshore.schemas import declared_schema
from standins.web.server import Site
from tests.conftest import Database
from tests.integration.loading import load_file, put

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)
UTC = dt.UTC
MOMENTS = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)).map(lambda moment: moment.replace(fold=0))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "smallint": st.integers(-(2**15), 2**15 - 1),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "real": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double precision": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "text": TEXT,
    "date": st.dates(),
    "time": st.times().map(lambda time: time.replace(fold=0)),
    "timestamp": MOMENTS,
    "timestamptz": MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC)),
    "numeric(20,4)": st.integers(-(10**19), 10**19).map(lambda n: Decimal(n).scaleb(-4)),
}
COLUMNS = {f"c {sql}": sql for sql in VALUES}
ROW = st.fixed_dictionaries({name: st.none() | VALUES[sql] for name, sql in COLUMNS.items()})
ROWS = st.lists(ROW.map(lambda row: {name: row[name] for name in COLUMNS}), min_size=1, max_size=20)
many = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def spelled(value: Any) -> str:
    """As a csv or JSON file writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)


def csv_file(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """All that is there is quoted: an unquoted nothing is null, a quoted one the empty text."""
    header = [quoted(name) for name in columns]
    lines = [["" if v is None else quoted(spelled(v)) for v in row] for row in rows]
    return "".join(",".join(cells) + "\n" for cells in [header, *lines]).encode()


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    return csv_file(COLUMNS, [row.values() for row in rows])


def as_jsonl(rows: list[dict[str, Any]]) -> bytes:
    plain = (bool, int, float, str, type(None))
    lines = [{k: v if isinstance(v, plain) else spelled(v) for k, v in row.items()} for row in rows]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=declared_schema(COLUMNS)), file)
    return file.getvalue()


def key(row: Any) -> str:
    return repr([v.astimezone(UTC) if isinstance(v, dt.datetime) and v.tzinfo else v for v in row])


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.csv", as_csv), ("a.jsonl", as_jsonl), ("a.parquet", as_parquet)],
    ids=["csv", "jsonl", "parquet"],
)
def test_declared_rows_arrive_by_value(name: str, write: Any, database: Database, site: Site) -> None:
    @many
    @given(ROWS)
    def check(rows: list[dict[str, Any]]) -> None:
        load_file(database, put(site, name, write(rows)), columns=COLUMNS, force=True)
        # Postgres would write a real in few digits; as a double it shows its value.
        selected = ", ".join(f'"{c}"' + "::double precision" * (sql == "real") for c, sql in COLUMNS.items())
        found = database.rows(f"SELECT {selected} FROM t")
        wanted = [tuple(row.values()) for row in rows]
        assert sorted(map(key, found)) == sorted(map(key, wanted))

    check()


def test_inferred_parquet_arrives_by_value(database: Database, site: Site) -> None:
    """The types that only Parquet has: each is stored in one that holds all its values."""
    moment = dt.datetime(2021, 1, 2, 3, 4, 5, 678000)
    table = pa.table(
        {
            "int8": pa.array([-128, 127, None], pa.int8()),
            "uint16": pa.array([0, 65535, None], pa.uint16()),
            "uint32": pa.array([0, 2**32 - 1, None], pa.uint32()),
            "uint64": pa.array([0, 2**64 - 1, None], pa.uint64()),
            "half": pa.array([0.5, -2.0, None], pa.float32()).cast(pa.float16()),
            "dictionary": pa.array(["a", "b", None]).dictionary_encode(),
            "large": pa.array(["a", "ü", None], pa.large_string()),
            "binary": pa.array([b"\0\xff", b"", None], pa.binary()),
            "millis": pa.array([moment, moment, None], pa.timestamp("ms")),
            "nanos": pa.array([moment, moment, None], pa.timestamp("ns")),
            "zone": pa.array([moment.replace(tzinfo=UTC)] * 2 + [None], pa.timestamp("us", "Europe/Paris")),
            "date": pa.array([moment.date()] * 2 + [None], pa.date64()),
            "time": pa.array([moment.time()] * 2 + [None], pa.time32("ms")),
            "decimal": pa.array([Decimal("1.10"), Decimal("-99.99"), None], pa.decimal128(4, 2)),
            "struct": pa.array([{"a": 1}, {"a": None}, None]),
            "list": pa.array([[1, 2], [], None]),
            "null": pa.nulls(3),
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    load_file(database, put(site, "a.parquet", file.getvalue()))
    selected = ", ".join(f'"{name}"' for name in table.column_names)
    found = [
        tuple(bytes(v) if isinstance(v, memoryview) else v for v in row)
        for row in database.rows(f"SELECT {selected} FROM t")
    ]
    wanted = [tuple(row.values()) for row in table.to_pylist()]
    assert found == wanted


def test_numbers_that_are_no_numbers_arrive(database: Database, site: Site) -> None:
    load_file(database, put(site, "a.csv", b"x\nNaN\ninf\n-inf\n1\n"), columns={"x": "double precision"})
    found = [value for (value,) in database.rows("SELECT x FROM t")]
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, -math.inf, 1.0]


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(
        st.none() | st.integers(-(2**70), 2**70) | st.sampled_from(["007", "1.0", "x", "-0", "1e3"]), min_size=1
    )
)
def test_inferred_csv_never_changes_a_whole_number(values: list[Any]) -> None:
    from longshore.errors import WiderSchemaNeeded
    from longshore.formats.blocks import line_blocks
    from longshore.formats.csv.delimited import open_csv

    data = b"n,end\n" + b"".join(b"%s,\n" % ("" if v is None else str(v)).encode() for v in values)
    schema = None
    while True:
        try:
            schema, batches = open_csv("f", line_blocks([data], "f", quoting=True, size=20), schema, widen=True)
            found = [row["n"] for batch in batches for row in batch.to_pylist()]
            break
        except WiderSchemaNeeded as wider:
            schema = wider.schema
    for value, arrived in zip(values, found, strict=True):
        if isinstance(value, int):
            assert int(arrived) == value
        elif value is None:
            assert arrived is None
