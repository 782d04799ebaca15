"""Batches -> one slice of a Postgres table, exactly once: one transaction, or nothing."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pgpq
import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from jobs.common.errors import LoadError
from jobs.common.schemas import ARROW_TYPES, JSONB, declared_schema, postgres_type

SLICE_COLUMN = "slice_id"
LOCK_SPACE = "longshore"
PASSING = (
    "08",
    "40",
    "53300",
    "57P",
    "55P03",
    "58",
)  # SQLSTATEs of faults that may pass: connection, deadlock, shutdown


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction; what Postgres says against it becomes a LoadError. Nothing stays on any error."""
    try:
        with engine.connect() as connection, connection.begin():
            # A worker that vanishes without a word must not hold its lock for hours.
            connection.exec_driver_sql("SET LOCAL tcp_keepalives_idle = 60")
            connection.exec_driver_sql("SET LOCAL TimeZone = 'UTC'")
            yield connection
    except DBAPIError as error:
        raise explain(error.orig or error, engine) from None
    except (psycopg2.Error, SQLAlchemyError) as error:
        raise explain(error, engine) from None


def explain(error: BaseException, engine: Engine) -> LoadError:
    """What Postgres said, where it was said, and what to do. Never the password."""
    url = engine.url
    where = f"Postgres {url.host or url.query.get('host', 'on the local socket')}:{url.port or 5432}/{url.database}"
    code = getattr(error, "pgcode", None) or ""
    said = str(error).strip()
    if url.password:
        said = said.replace(str(url.password), "…")
    if not code:
        if "authentication failed" in said or "no password supplied" in said:
            return LoadError(f"{where}: wrong user or password for {url.username!r}. Mend the block or WAREHOUSE_URL.")
        if re.search(r'(database|role) ".*" does not exist', said):
            return LoadError(f"{where}: {_line(said)}. Create it, or mend the block or WAREHOUSE_URL.")
        return LoadError(f"{where} cannot be reached or went away: {_line(said)}. Is it running?", transient=True)
    said = _line(said)
    row = re.search(r"COPY \S+, line (\d+)(?:, column (\S+))?", str(error))
    if row:
        said += f" (row {int(row[1]):,} of what was sent" + (f", column {row[2]!r})" if row[2] else ")")
    advice = {
        "53100": " The disk is full: make room, then run it again; nothing was loaded.",
        "42501": " Grant the right, or use another user.",
    }.get(code, "")
    return LoadError(f"{where}: {said}.{advice}", transient=code.startswith(PASSING))


def _line(said: str) -> str:
    """The message itself, on one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("CONTEXT", "LINE", "^"))]
    return "; ".join(kept[:2]).removesuffix(".") or "no reason given"


def lock(connection: Connection, key: str, log: logging.Logger | logging.LoggerAdapter[Any]) -> None:
    """Hold the key until the transaction ends; waits for whoever holds it."""
    parameters = {"space": LOCK_SPACE, "key": key}
    sql = "SELECT {}(hashtext(:space), hashtext(:key))"
    if not connection.execute(text(sql.format("pg_try_advisory_xact_lock")), parameters).scalar():
        log.info("Another run is loading %s; waiting for it to end.", key)
        connection.execute(text(sql.format("pg_advisory_xact_lock")), parameters)


def quoted(table: str) -> str:
    """`schema.table` or `table` as SQL. Raises LoadError on a name that Postgres would cut short."""
    parts = table.split(".")
    if not 1 <= len(parts) <= 2 or any(not part or len(part.encode()) > 63 or "\0" in part for part in parts):
        raise LoadError(f"{table!r} is no table name: give NAME or SCHEMA.NAME, at most 63 bytes each.")
    return ".".join(quote(part) for part in parts)


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def columns_of(connection: Connection, table: str) -> dict[str, str]:
    """Column -> SQL type of a table, empty when there is none."""
    rows = connection.execute(
        text(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        ),
        {"name": quoted(table)},
    )
    return dict(rows.tuples().all())


def create_table(connection: Connection, table: str, schema: pa.Schema) -> None:
    """The table with the schema's columns and the slice's number, indexed so that a slice is found by its blocks."""
    columns = [f"{quote(field.name)} {postgres_type(field)}" for field in schema]
    connection.exec_driver_sql(
        f"CREATE TABLE {quoted(table)} ({', '.join(columns)}, {quote(SLICE_COLUMN)} integer NOT NULL)".replace(
            "%", "%%"
        )
    )
    connection.exec_driver_sql(f"CREATE INDEX ON {quoted(table)} USING brin ({quote(SLICE_COLUMN)})".replace("%", "%%"))


def target_schema(table: str, found: dict[str, str], schema: pa.Schema) -> pa.Schema:
    """The schema in the types of the table that is there. Raises LoadError on a column that cannot take its values."""
    if SLICE_COLUMN not in found:
        raise LoadError(
            f"Table {table} lacks the column {SLICE_COLUMN} that tells the slices apart. Load into another table,"
            f" or: ALTER TABLE {quoted(table)} ADD COLUMN {SLICE_COLUMN} integer."
        )
    fields = []
    for field in schema:
        there = found.get(field.name)
        if there is None:
            raise LoadError(
                f"Table {table} lacks the column {field.name!r} ({postgres_type(field)})."
                " Add it, or load into another table."
            )
        stored = _stored(field, there)
        if stored is None:
            raise LoadError(
                f"Table {table}, column {field.name!r} is {there}; the file's values are {postgres_type(field)}."
                " Change the column's type, declare `columns`, or load into another table."
            )
        fields.append(stored)
    return pa.schema(fields)


def _stored(field: pa.Field, there: str) -> pa.Field | None:
    """The field as the table's column takes it, None when it cannot."""
    sql = {
        "timestamp without time zone": "timestamp",
        "timestamp with time zone": "timestamptz",
        "time without time zone": "time",
    }.get(there, there)
    if sql.startswith(("character", "varchar", "char")):
        sql = "text"
    if sql == "numeric":
        return field if pa.types.is_decimal(field.type) else None
    if sql not in ARROW_TYPES and not sql.startswith("numeric("):
        return None
    stored = declared_schema({field.name: sql}).field(0)
    if stored.type == field.type and stored.metadata == field.metadata:
        return field
    both_numbers = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (stored.type, field.type))
    if pa.types.is_null(field.type) or both_numbers or (sql == "text" and field.metadata == JSONB):
        return stored
    return None


def encoded(batches: Iterator[pa.RecordBatch], schema: pa.Schema, slice_id: int) -> Iterator[bytes]:
    """Batches of the schema in Postgres's binary COPY format, with the slice's number as last column."""
    schema = schema.append(pa.field(SLICE_COLUMN, pa.int32(), nullable=False))
    encoders = {field.name: pgpq.ArrowToPostgresBinaryEncoder.infer_encoder(field) for field in schema}
    for field in schema:
        if field.metadata == JSONB:
            encoders[field.name] = pgpq.StringEncoderBuilder.new_with_output(field, pgpq.Jsonb())
    encoder = pgpq.ArrowToPostgresBinaryEncoder.new_with_encoders(schema, encoders)
    yield encoder.write_header()
    for batch in batches:
        number = pa.repeat(pa.scalar(slice_id, pa.int32()), batch.num_rows)
        part = encoder.write_batch(pa.record_batch([*batch.columns, number], schema=schema))
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


def copy(connection: Connection, table: str, schema: pa.Schema, parts: Iterator[bytes]) -> int:
    """COPY the encoded parts into the table; the number of rows that arrived."""
    columns = ", ".join(quote(name) for name in [*schema.names, SLICE_COLUMN])
    source = _CopySource(parts)
    driver = connection.connection.driver_connection
    assert driver is not None
    with driver.cursor() as cursor:
        try:
            cursor.copy_expert(f"COPY {quoted(table)} ({columns}) FROM STDIN (FORMAT binary)", source)
        except psycopg2.Error:
            if source.error is not None:
                raise source.error from None
            raise
        rows: int = cursor.rowcount
    return rows
