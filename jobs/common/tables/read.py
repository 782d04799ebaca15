"""A file on the web -> typed Arrow record batches, whatever its format."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import Literal, get_args
from urllib.parse import urlsplit

import pyarrow as pa

from jobs.common.errors import LoadError
from jobs.common.read_ahead import read_ahead
from jobs.common.tables.blocks import line_blocks
from jobs.common.tables.delimited import open_csv
from jobs.common.tables.json_array import array_lines
from jobs.common.tables.json_lines import open_json
from jobs.common.tables.parquet import open_parquet
from jobs.common.tables.unpack import unpack
from jobs.common.web import RemoteFile

Format = Literal["csv", "json", "jsonl", "parquet"]


@dataclass(frozen=True)
class Table:
    """The columns of a file, and its rows as batches in those columns' types."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


def format_of(url: str) -> Format | None:
    """The format that a URL's file name tells (`.csv.gz` is csv)."""
    endings = urlsplit(url).path.lower().removesuffix(".gz").rsplit(".", 1)
    ending = {"ndjson": "jsonl", "tsv": "csv", "txt": "csv"}.get(endings[-1], endings[-1])
    return ending if ending in get_args(Format) else None  # type: ignore[return-value]


def read_table(
    remote: RemoteFile, stack: ExitStack, file_format: Format | None, schema: pa.Schema | None, widen: bool
) -> Table:
    """The remote file as a table. Threads that read ahead end when the stack is closed.

    schema: the declared columns, None to infer them. widen: raise WiderSchemaNeeded where a later value
    does not fit an inferred schema. Raises LoadError with file, row and column.
    """
    file_format = file_format or format_of(remote.url)
    if file_format is None:
        raise LoadError(f"{remote.name}: which format is it? Say one of: {', '.join(get_args(Format))}.")
    if file_format == "parquet":
        schema, batches = open_parquet(remote, schema)
        return Table(schema, stack.enter_context(read_ahead(batches, depth=4)))
    chunks = unpack(remote.chunks(), remote.name)
    if file_format == "json":
        head = next(chunks, b"")
        chunks = chain([head], chunks)
        if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            chunks = array_lines(chunks, remote.name)
    blocks = stack.enter_context(read_ahead(line_blocks(chunks, remote.name, quoting=file_format == "csv")))
    opened = open_csv if file_format == "csv" else open_json
    return Table(*opened(remote.name, blocks, schema, widen))
