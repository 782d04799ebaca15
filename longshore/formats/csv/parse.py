"""Arrow's CSV reader, one block at a time: parse, infer types, find the value that does not fit."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from longshore.schemas import storable

LEADING_ZERO = r"^\s*[-+]?0[0-9]"
MANY_DIGITS = r"^\s*[-+]?[0-9]{16,}\s*$"
MAY_LEAD_ZERO = re.compile(rb'(?:^|[,;\t|\n\r"]) *[-+]?0[0-9]')
EXACT_BELOW = 2.0**53  # whole numbers from here on are not all doubles


@dataclass(frozen=True)
class Layout:
    """How a file's rows are written. surplus: empty fields behind each row's last column."""

    header: list[str]
    delimiter: str = ","
    surplus: int = 0

    @property
    def extra(self) -> list[str]:
        return [f" surplus {i}" for i in range(self.surplus)]

    @property
    def names(self) -> list[str]:
        return self.header + self.extra


def parse(
    block: bytes,
    layout: Layout,
    types: dict[str, pa.DataType] | None,
    only: Sequence[str] = (),
    ragged: list[arrow_csv.InvalidRow] | None = None,
    quoted_null: bool = False,
) -> pa.Table:
    """The block's rows; an empty field is null, nothing else is. Raises ArrowInvalid.

    types: of the columns (text where none is named), None to infer. ragged: takes the rows of another
    width, which are left out.
    quoted_null: an empty field in quotes is null as well.
    """
    ragged = [] if ragged is None else ragged

    def skip(row: arrow_csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    return arrow_csv.read_csv(
        pa.BufferReader(block),
        # One thread is enough to keep Postgres busy, takes half the processor time, and numbers the ragged rows.
        read_options=arrow_csv.ReadOptions(column_names=layout.names, block_size=1 << 30, use_threads=False),
        parse_options=arrow_csv.ParseOptions(
            delimiter=layout.delimiter, newlines_in_values=True, invalid_row_handler=skip
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=None if types is None else dict.fromkeys(layout.names, pa.string()) | types,
            include_columns=list(only) or layout.names,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=quoted_null,
        ),
    )


def fits(block: bytes, layout: Layout, column: str, kind: pa.DataType, quoted_null: bool = False) -> bool:
    try:
        parse(block, layout, {column: kind}, only=[column], quoted_null=quoted_null)
    except pa.ArrowInvalid:
        return False
    return True


def infer(block: bytes, layout: Layout, columns: list[str]) -> pa.Schema:
    """Types for the columns. Raises ArrowInvalid."""
    guess = parse(block, layout, None, only=columns, quoted_null=True)
    texts = {name for name, _ in no_numbers(block, layout, guess)}

    def chosen(field: pa.Field) -> pa.Field:
        text = field.name in texts or pa.types.is_binary(field.type)
        return pa.field(field.name, pa.string()) if text else storable(field)

    return pa.schema([chosen(field) for field in guess.schema])


def no_numbers(block: bytes, layout: Layout, table: pa.Table) -> Iterator[tuple[str, int]]:
    """The columns read as numbers, with a row, where digits would be lost: a leading zero (a zip code is
    not a number), or a whole number that a double cannot hold exactly."""
    leading = MAY_LEAD_ZERO.search(block) is not None
    for field in table.schema:
        patterns = [LEADING_ZERO] if leading and _is_number(field.type) else []
        if pa.types.is_float64(field.type) and (pc.max(pc.abs(table[field.name])).as_py() or 0) >= EXACT_BELOW:
            patterns.append(MANY_DIGITS)
        if not patterns:
            continue
        texts = parse(block, layout, {}, only=[field.name])[field.name]
        row = pc.index(pc.match_substring_regex(texts, "|".join(patterns)), True).as_py()
        if row >= 0:
            yield field.name, row


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def values_fit(values: Sequence[bytes | None], kind: pa.DataType) -> bool:
    lines = b"".join(b'"%b",\n' % v.replace(b'"', b'""') if v else b",\n" for v in values)
    return fits(lines, Layout(["value", " end"]), "value", kind)
