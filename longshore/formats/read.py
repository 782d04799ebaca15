"""A file -> typed Arrow record batches, whatever its format."""

from contextlib import ExitStack
from itertools import chain
from typing import get_args

import pyarrow as pa

from longshore.errors import LoadError
from longshore.formats.blocks import line_blocks
from longshore.formats.csv.delimited import open_csv
from longshore.formats.file import File, Format
from longshore.formats.json.array import array_lines
from longshore.formats.json.lines import open_json
from longshore.formats.parquet import open_parquet
from longshore.formats.unpack import unpack
from longshore.read_ahead import read_ahead
from longshore.rows.table import Table


def read_table(
    file: File, stack: ExitStack, file_format: Format | None, schema: pa.Schema | None, widen: bool
) -> Table:
    """The file as a table. Threads that read ahead end when the stack is closed.

    schema: the declared columns, None to infer them. widen: raise WiderSchemaNeeded where a later value
    does not fit an inferred schema. Raises LoadError with file, row and column.
    """
    if file_format is None:
        raise LoadError(f"{file.name}: which format is it? Say one of: {', '.join(get_args(Format))}.")
    if file_format == "parquet":
        schema, batches = open_parquet(file, schema)
        return Table(schema, stack.enter_context(read_ahead(batches, depth=4)))
    chunks = unpack(file.chunks(), file.name)
    if file_format == "json":
        head = next(chunks, b"")
        chunks = chain([head], chunks)
        if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            chunks = array_lines(chunks, file.name)
    blocks = stack.enter_context(read_ahead(line_blocks(chunks, file.name, quoting=file_format == "csv")))
    opened = open_csv if file_format == "csv" else open_json
    return Table(*opened(file.name, blocks, schema, widen))
