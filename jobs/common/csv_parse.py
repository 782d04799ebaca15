"""Arrow's CSV reader, one block at a time: parse, infer types, find the value that does not fit."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from jobs.common.schemas import storable

T = TypeVar("T")


@dataclass(frozen=True)
class Layout:
    """How a file's rows are written. surplus: empty fields behind each row's last column."""

    header: list[str]
    delimiter: str = ","
    surplus: int = 0

    @property
    def names(self) -> list[str]:
        return self.header + [f" surplus {i}" for i in range(self.surplus)]


def parse(
    block: bytes,
    layout: Layout,
    types: dict[str, pa.DataType] | None,
    only: list[str] | None = None,
    ragged: list[arrow_csv.InvalidRow] | None = None,
    number_rows: bool = False,
) -> pa.Table:
    """The block's rows; an empty field is null, nothing else is. Raises ArrowInvalid.

    types: of the columns (text where none is named), None to infer. ragged: takes the rows of another
    width, which are left out. number_rows: give those their number in the block, at the cost of speed.
    """
    ragged = [] if ragged is None else ragged

    def skip(row: arrow_csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    return arrow_csv.read_csv(
        pa.BufferReader(block),
        read_options=arrow_csv.ReadOptions(column_names=layout.names, block_size=1 << 30, use_threads=not number_rows),
        parse_options=arrow_csv.ParseOptions(
            delimiter=layout.delimiter, newlines_in_values=True, invalid_row_handler=skip
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=None if types is None else dict.fromkeys(layout.names, pa.string()) | types,
            include_columns=only or layout.names,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def fits(block: bytes, layout: Layout, column: str, kind: pa.DataType) -> bool:
    try:
        parse(block, layout, {column: kind}, only=[column])
    except pa.ArrowInvalid:
        return False
    return True


def infer(block: bytes, layout: Layout, columns: list[str]) -> pa.Schema:
    """Types for the columns. Digits with a leading zero are text (a zip code is not a number)."""
    guess = parse(block, layout, None, only=columns).schema
    whole = [field.name for field in guess if pa.types.is_integer(field.type)]
    padded = set()
    if whole:
        texts = parse(block, layout, {}, only=whole)
        for name in whole:
            if pc.any(pc.match_substring_regex(texts[name], r"^\s*[-+]?0[0-9]")).as_py():
                padded.add(name)

    def chosen(field: pa.Field) -> pa.Field:
        text = field.name in padded or pa.types.is_binary(field.type)
        return pa.field(field.name, pa.string()) if text else storable(field)

    return pa.schema([chosen(field) for field in guess])


def first_misfit(values: Sequence[T], fit: Callable[[Sequence[T]], bool]) -> int:
    """The index of the first value that does not fit, by bisection; there is one."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        if fit(values[low:middle]):
            low = middle
        else:
            high = middle
    return low


def values_fit(values: Sequence[bytes | None], kind: pa.DataType) -> bool:
    lines = b"".join(b'"%b",\n' % v.replace(b'"', b'""') if v is not None else b",\n" for v in values)
    return fits(lines, Layout(["value", " end"]), "value", kind)


def split_row(text: str, delimiter: str) -> list[str]:
    return next(csv.reader([text], delimiter=delimiter), [])


def join_rows(rows: list[list[str]], delimiter: str) -> bytes:
    text = StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
