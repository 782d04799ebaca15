"""Arrow batches -> binary COPY."""

import re
from collections.abc import Iterator

import pgpq.encoders
import pgpq.schema
import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from longshore.errors import LoadError
from longshore.schemas import JSONB
from longshore.sinks.postgres.connection import explain, quote, quoted
from longshore.sinks.postgres.target import SLICE_COLUMN


def with_slice(schema: pa.Schema) -> pa.Schema:
    """The schema, and last the slice's number."""
    return schema.append(pa.field(SLICE_COLUMN, pa.int32(), nullable=False))


def numbered(batches: Iterator[pa.RecordBatch], schema: pa.Schema, slice_id: int) -> Iterator[pa.RecordBatch]:
    """The batches with the slice's number, in the schema that has it."""
    for batch in batches:
        number = pa.repeat(pa.scalar(slice_id, pa.int32()), batch.num_rows)
        yield pa.record_batch([*batch.columns, number], schema=schema)


def encoded(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    """Batches of the schema in Postgres's binary COPY format."""
    encoders = {field.name: pgpq.ArrowToPostgresBinaryEncoder.infer_encoder(field) for field in schema}
    for field in schema:
        if field.metadata == JSONB:
            encoders[field.name] = pgpq.encoders.StringEncoderBuilder.new_with_output(field, pgpq.schema.Jsonb())
    encoder = pgpq.ArrowToPostgresBinaryEncoder.new_with_encoders(schema, encoders)
    yield encoder.write_header()
    for batch in batches:
        part = encoder.write_batch(batch)
        if part:  # the encoder holds small batches back, and nothing would mean the end to COPY
            yield part
    yield encoder.finish()


def check_text(name: str, batch: pa.RecordBatch, rows_before: int) -> None:
    """Postgres text holds no NUL. Raises LoadError with the row and column that has one."""
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if not pa.types.is_string(field.type) or column.buffers()[2] is None:
            continue
        if re.search(b"\0", memoryview(column.buffers()[2])) is None:  # fast: the buffer as a whole
            continue
        row = pc.index(pc.match_substring(column, "\0"), True).as_py()
        if row >= 0:
            raise LoadError(
                f"{name}, row {rows_before + row + 1:,}, column {field.name!r}: a NUL character, which Postgres text"
                " cannot hold. Remove it from the file."
            )


class _CopySource:
    """The encoded batches as the file that psycopg2 reads; keeps the error that it would hide."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            return next(self._parts, b"")
        except BaseException as error:
            self.error = error
            raise


def copy(connection: Connection, table: str, schema: pa.Schema, parts: Iterator[bytes], source_name: str) -> int:
    """COPY the encoded parts into the table; the number of rows that arrived."""
    columns = ", ".join(map(quote, schema.names))
    source = _CopySource(parts)
    driver = connection.connection.driver_connection
    assert driver is not None
    with driver.cursor() as cursor:
        try:
            cursor.copy_expert(f"COPY {quoted(table)} ({columns}) FROM STDIN (FORMAT binary)", source)
        except psycopg2.Error as error:
            if source.error is not None:
                raise source.error from None
            raise explain(error, connection.engine, source_name) from None
        rows: int = cursor.rowcount
    return rows
