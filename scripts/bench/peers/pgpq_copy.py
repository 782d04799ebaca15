"""pgpq, bare: what Longshore does to a file, without ledger, lock or checks.

One thread downloads and gunzips, one types the text and encodes it, the main thread sends: binary COPY.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import psycopg2
import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder
from pyarrow import csv, parquet

from longshore.schemas import declared_schema
from scripts.bench.peers.shared import ahead, create, download, unpacked

BLOCK = 2 << 20  # bytes of text typed at once


class Encoded:
    """The encoded batches as the file that psycopg2 reads."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self.parts = parts

    def read(self, _: int = -1) -> bytes:
        return next(self.parts, b"")


def main(url: str, database: str, table: str, columns: str) -> None:
    """Load a csv.gz, or a parquet file, from `url`. columns: name -> SQL type."""
    types: dict[str, str] = json.loads(columns)
    schema = declared_schema(types)
    batches = of_parquet(url, schema) if url.endswith(".parquet") else of_csv(url, schema)
    connection = psycopg2.connect(database)
    with connection, connection.cursor() as cursor:
        cursor.execute(create(table, types))
        source: Any = Encoded(ahead(encoded(batches, schema)))
        cursor.copy_expert(f"copy {table} from stdin (format binary)", source)


def of_csv(url: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The text, typed block by block."""
    read = csv.ReadOptions(column_names=schema.names, block_size=1 << 30, use_threads=False)
    convert = csv.ConvertOptions(column_types=schema, strings_can_be_null=True)
    for block in blocks(ahead(unpacked(url))):
        yield from csv.read_csv(pa.BufferReader(block), read_options=read, convert_options=convert).to_batches()


def of_parquet(url: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The file, some ten thousand rows at a time, in the schema's types."""
    for batch in parquet.ParquetFile(pa.BufferReader(download(url))).iter_batches():
        yield batch.cast(schema)


def blocks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The text without its header, in blocks that end where a row ends: quoted line ends are not looked for."""
    text = next(pieces).partition(b"\n")[2]
    for piece in pieces:
        text += piece
        if len(text) >= BLOCK:
            cut = text.rindex(b"\n") + 1
            yield text[:cut]
            text = text[cut:]
    if text:
        yield text


def encoded(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    """Batches in Postgres's binary COPY format."""
    encoder = ArrowToPostgresBinaryEncoder(schema)
    yield encoder.write_header()
    for batch in batches:
        if part := encoder.write_batch(batch):  # it holds small batches back, and nothing would mean the end to COPY
            yield part
    yield encoder.finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
