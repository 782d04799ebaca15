"""A CSV file -> its columns and typed Arrow batches."""

from collections.abc import Iterator
from itertools import chain

import pyarrow as pa

from longshore.errors import LoadError
from longshore.formats.blocks import delimiter_of, first_row
from longshore.formats.csv.parse import Layout, infer
from longshore.formats.csv.reader import CsvReader, not_csv
from longshore.schemas import check_names


def open_csv(
    name: str, blocks: Iterator[bytes], schema: pa.Schema | None, widen: bool
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Schema and batches of a CSV file; without a schema it is inferred from the first block."""
    first = next(blocks, b"")
    delimiter = delimiter_of(first)
    titles, body = first_row(first, delimiter)
    body = body or next(blocks, b"")
    while titles and not titles[-1]:
        titles.pop()
    try:
        header = [title.decode() for title in titles]
    except UnicodeDecodeError as error:
        raise LoadError(f"{name}, header: not valid UTF-8. Save the file as UTF-8.") from error
    check_names(name, header, schema)
    sample, _ = first_row(body, delimiter)
    surplus = 0 if any(sample[len(header) :]) else max(0, len(sample) - len(header))
    layout = Layout(header, delimiter, surplus)
    if schema is None:
        schema = _inferred(name, body, layout)
    return schema, CsvReader(name, layout, schema, widen).batches(chain([body] if body else [], blocks))


def _inferred(name: str, body: bytes, layout: Layout) -> pa.Schema:
    if not body:
        return pa.schema([(column, pa.null()) for column in layout.header])
    try:
        return infer(body, layout, layout.header)
    except pa.ArrowInvalid as error:
        raise not_csv(name, body, error) from error
