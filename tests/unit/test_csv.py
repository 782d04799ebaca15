"""CSV values become typed columns, exactly; what cannot is named by row and column."""

import csv
import io
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.errors import LoadError, WiderSchemaNeeded
from longshore.formats.blocks import line_blocks
from longshore.formats.csv.delimited import open_csv
from longshore.schemas import declared_schema


def read(data: bytes, columns: dict[str, str] | None = None, size: int = 1 << 20) -> list[dict[str, Any]]:
    """All rows; an inferred schema is widened as often as it takes."""
    schema = declared_schema(columns) if columns else None
    while True:
        try:
            blocks = line_blocks([data], "f", quoting=True, size=size)
            schema, batches = open_csv("f", blocks, schema, widen=columns is None)
            return [row for batch in batches for row in batch.to_pylist()]
        except WiderSchemaNeeded as wider:
            schema = wider.schema


def column(data: bytes, **options: Any) -> list[Any]:
    return [row["n"] for row in read(data, **options)]


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(*[st.text(st.sampled_from('ab",\n '), max_size=6)] * 2), min_size=1),
    size=st.integers(1, 40),
)
def test_texts_are_python_s_csv_texts_and_nothing_unquoted_is_null(rows: list[tuple[str, str]], size: int) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([("n", "m"), *rows])
    found = read(text.getvalue().encode(), {"n": "text", "m": "text"}, size=size)
    assert [(row["n"], row["m"]) for row in found] == [(n or None, m or None) for n, m in rows]


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (".20 -.5 3", [0.2, -0.5, 3.0]),
        ("1 2 1.0", [1, 2, 1.0]),
        ("1  2", [1, None, 2]),
        ("1 x", ["1", "x"]),
        ("01234 5", ["01234", "5"]),
        ("5 01234", ["5", "01234"]),
        ("1.5 007", ["1.5", "007"]),
        ("9007199254740993 1.5", ["9007199254740993", "1.5"]),
        ("9223372036854775807 -9223372036854775808", [2**63 - 1, -(2**63)]),
        ("1 9223372036854775808", ["1", "9223372036854775808"]),
        ("0 -0 0.5", [0.0, 0.0, 0.5]),
        ('"" 1', [None, 1]),
        ('1 "" 2', [1, None, 2]),
        ('"" ""', ["", ""]),
        ("NA null", ["NA", "null"]),
    ],
)
def test_types_are_inferred_and_widened_without_losing_anything(cells: str, values: list[Any], size: int) -> None:
    data = b"n,end\n" + b"".join(b"%s,\n" % cell.encode() for cell in cells.split(" "))
    assert column(data, size=size) == values


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_a_declared_integer_may_be_written_with_a_point(size: int) -> None:
    data = b"n\n" + b"".join(b"%d\n" % n for n in (1, 2**63 - 1)) + b"1.0\n-3.00\n2e3\n"
    assert column(data, columns={"n": "bigint"}, size=size) == [1, 2**63 - 1, 1, -3, 2000]


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize(
    "body",
    [b"1,x,,\n2,y,,\n", b"1,x\n2,y,,\n", b"1,x,\n2,y\n", b'1,x,,,,\n2,"y"\n', b'1,"x",""\n2,y,\n'],
)
def test_empty_fields_behind_the_last_column_are_left_out(body: bytes, size: int) -> None:
    assert read(b"n,s\n" + body, size=size) == [{"n": 1, "s": "x"}, {"n": 2, "s": "y"}]
    assert read(b"n,s,\n" + body, {"s": "text", "n": "integer"}, size=size) == [{"s": "x", "n": 1}, {"s": "y", "n": 2}]


def test_a_ragged_row_keeps_its_empty_text() -> None:
    rows = read(b'n,s\n1,""\n2,"",\n3,,\n', {"n": "integer", "s": "text"})
    assert sorted(rows, key=lambda row: int(row["n"])) == [
        {"n": 1, "s": ""},
        {"n": 2, "s": ""},
        {"n": 3, "s": None},
    ]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"n,s\n1,a\nx,b\n", "f, row 2, column 'n': 'x' does not fit the type integer"),
        (b"n,s\n1.0,a\n1,b\n1.5,c\n", "f, row 3, column 'n': 1.5 does not fit the type integer"),
        (b"n,s\n1.0,a\nx,b\n", "f, row 2, column 'n': 'x' does not fit"),
        (b"n,s\n1,a,\n2,b,\nx,c\n", "f, row 3, column 'n': 'x' does not fit"),
        (b"n,s\n1,a\n2,b,\n3,c\nx,d\n", "f, row 4, column 'n': 'x' does not fit"),
        (b"n,s\n1,a\n2\n", "f, row 2: 1 fields where the header has 2"),
        (b"n,s\n1,a,\n2,b,x\n", "f, row 2: more fields than the header's 2"),
        (b"n,s\n1,\xff\n", "f, row 1, column 's': b'\\xff' is not valid UTF-8"),
        (b"n,s\n1,a\n2,b,\xff\n", "is not valid UTF-8"),
        (b"s,n,n\n", "f has the column 'n' twice"),
        (b"n\n1\n", "f has other columns than declared: it lacks s"),
        (b"n,s,t\n1,a,b\n", "it has t, which nobody expects"),
        (b",\n1,2\n", "f has no header with a name for every column"),
    ],
)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_an_error_names_row_and_column_of_the_file(data: bytes, says: str, size: int) -> None:
    with pytest.raises(LoadError) as caught:
        read(data, {"n": "integer", "s": "text"}, size=size)
    assert says in str(caught.value)


def test_what_is_no_csv_at_all_is_a_load_error() -> None:
    with pytest.raises(LoadError):
        read(b"n,s\n" + bytes(range(128, 256)) * 10 + b"\n\xff\x00\n")


def test_a_header_only_has_no_types() -> None:
    schema, batches = open_csv("f", line_blocks([b"n,s\n"], "f", quoting=True), None, widen=True)
    assert schema == pa.schema([("n", pa.null()), ("s", pa.null())])
    assert list(batches) == []
