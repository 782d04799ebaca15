"""Text as it came -> blocks that end where a row ends."""

import csv
import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain

from longshore.errors import LoadError

BLOCK_BYTES = 2 << 20  # large enough for Arrow to be fast, small enough that a few in flight stay cheap
MAX_ROW_BYTES = 64 << 20
DELIMITERS = ",;\t|"
csv.field_size_limit(2 * MAX_ROW_BYTES)


def delimiter_of(data: bytes) -> str:
    """The delimiter of a CSV file: the one that its first line holds most of."""
    title = re.sub(rb'"[^"]*"', b"", data.lstrip(b"\r\n").partition(b"\n")[0])
    return max(DELIMITERS, key=lambda delimiter: title.count(delimiter.encode()))


def line_blocks(chunks: Iterable[bytes], name: str, quoting: bool, size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Blocks of about `size` bytes that end where a row ends.

    quoting: a line end within double quotes does not end a row (CSV; in JSON Lines every one does).
    """
    pending: list[bytes] = []
    length, wanted = 0, size
    delimiter = ""
    for chunk in chunks:
        pending.append(chunk)
        length += len(chunk)
        if length < wanted:
            continue
        data = b"".join(pending)
        delimiter = delimiter or (delimiter_of(data) if quoting and b"\n" in data.lstrip(b"\r\n") else "")
        cut = row_end(data, delimiter)
        if cut:
            yield data[:cut]
            data = data[cut:]
        elif length > MAX_ROW_BYTES:
            raise LoadError(
                f"{name}: no row ends within {MAX_ROW_BYTES >> 20} MiB. Is a quote left open, or is it not text?"
            )
        pending, length = [data], len(data)
        wanted = size if cut else max(size, 2 * length)  # a long row is not searched at each chunk again
    data = b"".join(pending)
    if quoting and data:
        cut = row_end(data + b"\n", delimiter or delimiter_of(data))
        if cut < len(data):
            start = data[cut : cut + 60].decode(errors="replace")
            raise LoadError(f"{name}: a quote is opened and never closed, in the row that begins with {start!r}.")
    if data:
        yield data


@cache
def _closed_rows(delimiter: str) -> re.Pattern[bytes]:
    """Text in which each quote that opens begins a field and is closed: no line end in it can mislead."""
    before = re.escape(delimiter.encode())
    return re.compile(rb'(?:[^"]*+(?<![^\r\n"' + before + rb'])"[^"]*+")*+[^"]*+')


def row_end(data: bytes, delimiter: str) -> int:
    """The offset behind the last row that ends in the data, 0 when none does. delimiter: "" where no quotes count."""
    cut = data.rfind(b"\n") + 1
    if not delimiter or data.find(b'"', 0, cut) < 0 or _closed_rows(delimiter).fullmatch(data, 0, cut):
        return cut
    lines = data[:cut].splitlines(keepends=True)
    # The row that goes on past the data, or else the line that we add, is the last: cut before it.
    rows = csv.reader(chain((line.decode("latin-1") for line in lines), ["end\n"]), delimiter=delimiter)
    ends = [0, *(rows.line_num for _ in rows)]
    return sum(map(len, lines[: ends[-2]]))


def first_row(data: bytes, delimiter: str) -> tuple[list[bytes], bytes]:
    """The first row that is not blank, split, and what follows it."""
    lines = data.splitlines(keepends=True)
    rows = csv.reader((line.decode("latin-1") for line in lines), delimiter=delimiter)
    row = next((row for row in rows if row), [])
    return [field.encode("latin-1") for field in row], data[sum(map(len, lines[: rows.line_num])) :]
