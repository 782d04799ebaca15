"""JSON values become typed columns; a nested one becomes jsonb."""

import json
from datetime import time
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.errors import LoadError, WiderSchemaNeeded
from longshore.formats.blocks import line_blocks
from longshore.formats.json.array import array_lines
from longshore.formats.json.lines import open_json
from longshore.schemas import JSONB, declared_schema


def read(data: bytes, columns: dict[str, str] | None = None, size: int = 1 << 20) -> tuple[pa.Schema, list[Any]]:
    schema = declared_schema(columns) if columns else None
    while True:
        try:
            blocks = line_blocks([data], "f", quoting=False, size=size)
            schema, batches = open_json("f", blocks, schema, widen=columns is None)
            return schema, [row for batch in batches for row in batch.to_pylist()]
        except WiderSchemaNeeded as wider:
            if wider.schema == schema:
                raise AssertionError("it asks for what it has, for ever") from wider
            schema = wider.schema


def lines(values: list[Any]) -> bytes:
    return b"".join(json.dumps({"n": value}).encode() + b"\n" for value in values)


SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5)
NESTED = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))


@settings(max_examples=200, deadline=None)
@given(values=st.lists(NESTED, min_size=1, max_size=8), size=st.integers(1, 60))
def test_no_value_is_lost_however_types_mix(values: list[Any], size: int) -> None:
    schema, rows = read(lines(values), size=size)
    field = schema.field("n")
    for value, row in zip(values, rows, strict=True):
        arrived = row["n"]
        as_text = pa.types.is_string(field.type) and not isinstance(value, str)
        if arrived is not None and (field.metadata == JSONB or as_text):
            arrived = json.loads(arrived)
        assert arrived == value


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], pa.int64()),
        ([1, 1.5], pa.float64()),
        ([2**53 + 1, 1.5], pa.string()),
        ([1, 2**64], pa.string()),
        ([True, None], pa.bool_()),
        ([True, 1], pa.string()),
        (["2021-01-01", "2021-01-02"], pa.string()),
    ],
)
def test_types_are_inferred_from_all_values(values: list[Any], kind: pa.DataType, size: int) -> None:
    schema, rows = read(lines(values), size=size)
    assert schema.field("n").type == kind
    assert len(rows) == len(values)


def test_declared_dates_are_read_as_strictly_as_postgres_would() -> None:
    _, rows = read(b'{"n": "2021-01-02T03:04:05+02:00"}\n', {"n": "timestamptz"})
    assert rows[0]["n"].isoformat() == "2021-01-02T01:04:05+00:00"
    with pytest.raises(LoadError, match=r"row 1, column 'n': '2021-01-02T03:04:05\+02:00' does not fit"):
        read(b'{"n": "2021-01-02T03:04:05+02:00"}\n', {"n": "timestamp"})
    with pytest.raises(LoadError, match="row 1, column 'n'"):
        read(b'{"n": "2021-01-02T03:04:05"}\n', {"n": "timestamptz"})


def test_a_declared_time_is_read_and_what_is_none_is_named() -> None:
    _, rows = read(b'{"n": "03:04:05.6"}\n{"n": null}\n', {"n": "time"})
    assert [row["n"] for row in rows] == [time(3, 4, 5, 600_000), None]
    with pytest.raises(LoadError, match="row 2, column 'n': '25:00' does not fit the type time"):
        read(b'{"n": "03:04:05.6"}\n{"n": "25:00"}\n', {"n": "time"})


def test_a_row_number_counts_over_blocks() -> None:
    with pytest.raises(LoadError, match=r"f, row 5, column 'n': 'x' does not fit the type bigint"):
        read(lines([1, 2, 3, 4, "x"]), {"n": "bigint"}, size=1)


def test_an_array_is_read_object_by_object_with_its_numbers_exact() -> None:
    text = b' [{"n": 18446744073709551616}, {"n": 1.5},\n{"n": [1]}] '
    found = array_lines(iter([text[i : i + 3] for i in range(0, len(text), 3)]), "f")
    assert [json.loads(line) for line in found] == [{"n": 2**64}, {"n": 1.5}, {"n": [1]}]


@pytest.mark.parametrize("text", [b'[{"n": 1}', b'[{"n": 1}] x', b'[{"n": 1},]', b"[\xff]"])
def test_a_broken_array_is_an_error(text: bytes) -> None:
    with pytest.raises(LoadError, match="not a JSON array of objects"):
        list(array_lines(iter([text]), "f"))
