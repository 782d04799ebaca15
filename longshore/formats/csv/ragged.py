"""CSV rows that are wider or narrower than the header: corrected where only empty fields are too many."""

import csv
from io import StringIO

import pyarrow as pa
from pyarrow import csv as arrow_csv

from longshore.errors import LoadError
from longshore.formats.csv.parse import Layout, parse

Ragged = list[arrow_csv.InvalidRow]


def regular_places(block: bytes, layout: Layout) -> list[int]:
    """The places in the block, from 0, of the rows that are not ragged."""
    ragged: Ragged = []
    rows: int = _numbered(block, layout, ragged).num_rows
    skipped = {row.number - 1 for row in ragged}
    return [place for place in range(rows + len(ragged)) if place not in skipped]


def trimmed(block: bytes, layout: Layout, where: str, first: int) -> tuple[bytes, list[int]]:
    """The block's ragged rows at the layout's width, and their places in the block.

    Raises LoadError on a row that lacks fields or has too many; where, first: how the block's first row is called.
    """
    ragged: Ragged = []
    _numbered(block, layout, ragged)
    width = len(layout.header)
    lines = []
    for row in ragged:
        text = row.text.rstrip("\r\n")
        fields = next(csv.reader([text], delimiter=layout.delimiter), [])
        if len(fields) < width or any(fields[width:]):
            raise LoadError(
                f"{where} {first + row.number - 1:,}: {len(fields)} fields where the header has {width}: "
                f"{row.text[:100]!r}. Was the file cut off, or a quote left out?"
            )
        lines.append(_at_width(text, fields, layout))
    return "".join(lines).encode(), [row.number - 1 for row in ragged]


def _numbered(block: bytes, layout: Layout, ragged: Ragged) -> pa.Table:
    return parse(block, layout, dict.fromkeys(layout.names, pa.binary()), ragged=ragged)


def _at_width(text: str, fields: list[str], layout: Layout) -> str:
    """The row with as many empty fields behind it as the layout wants; what is quoted stays quoted."""
    surplus = len(fields) - len(layout.names)
    end = layout.delimiter * surplus
    if surplus <= 0:
        return text + layout.delimiter * -surplus + "\n"
    if text.endswith(end):
        return text[: -len(end)] + "\n"
    line = StringIO()
    csv.writer(line, delimiter=layout.delimiter, lineterminator="\n").writerow(fields[: len(layout.names)])
    return line.getvalue()
