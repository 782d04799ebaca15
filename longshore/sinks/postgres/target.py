"""The table that a file goes into: made where there is none, and what its columns take."""

import pyarrow as pa
from sqlalchemy import Connection, text

from longshore.backoff import Log
from longshore.errors import LoadError, WiderSchemaNeeded
from longshore.schemas import ARROW_TYPES, INTEGERS, JSONB, declared_schema, postgres_type
from longshore.sinks.postgres import ledger
from longshore.sinks.postgres.connection import execute, lock, quote, quoted

SLICE_COLUMN = "slice_id"
NAME_BYTES = 63  # Postgres cuts longer names short


def is_text(sql: str) -> bool:
    return sql.startswith(("text", "character"))


def canonical(connection: Connection, table: str) -> str:
    """One name for one table: `public.rides` is `rides` where that is the schema that names without one mean."""
    schema, _, name = table.rpartition(".")
    own = schema and connection.execute(text("SELECT current_schema()")).scalar() == schema
    return name if own else table


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


def create_table(connection: Connection, table: str, schema: pa.Schema, last: str) -> None:
    """The table with the schema's columns. last: what follows them, as SQL."""
    for name in schema.names:
        if not 0 < len(name.encode()) <= NAME_BYTES or "\0" in name:
            raise LoadError(f"Column {name!r}: Postgres takes names of 1 to {NAME_BYTES} bytes. Rename it in the file.")
    columns = [f"{quote(field.name)} {postgres_type(field)}" for field in schema]
    execute(connection, f"CREATE TABLE {quoted(table)} ({', '.join([*columns, last])})")


def size_in_blocks(connection: Connection, table: str) -> int:
    sql = text("SELECT pg_relation_size(to_regclass(:name)) / current_setting('block_size')::int")
    return int(connection.execute(sql, {"name": quoted(table)}).scalar_one())


def delete_slice(connection: Connection, table: str, entry: ledger.Entry) -> None:
    """Delete the slice's rows from the blocks they were written to; from all, when some have moved (VACUUM FULL)."""
    first, end = entry.blocks
    sql = f"DELETE FROM {quoted(table)} WHERE {quote(SLICE_COLUMN)} = {entry.slice_id:d}"
    if execute(connection, f"{sql} AND ctid >= '({first:d},0)' AND ctid < '({end:d},0)'") != entry.rows_loaded:
        execute(connection, sql)


def target_schema(table: str, found: dict[str, str], schema: pa.Schema) -> pa.Schema:
    """The schema in the types of the table that is there. Raises LoadError on a column that cannot take its values."""
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
    if is_text(sql):
        sql = "text"
    if sql == "numeric":
        return field if pa.types.is_decimal(field.type) else _whole_number(field)
    if sql not in ARROW_TYPES and not sql.startswith("numeric("):
        return None
    stored = declared_schema({field.name: sql}).field(0)
    if stored.type == field.type and stored.metadata == field.metadata:
        return field
    return stored if _takes(stored, field) else None


def _whole_number(field: pa.Field) -> pa.Field | None:
    return field.with_type(pa.decimal128(19, 0)) if field.type in INTEGERS else None


def _takes(stored: pa.Field, field: pa.Field) -> bool:
    """Whether values of the file's type can go into the column; one that does not fit is an error when it comes."""
    types = pa.types
    there, here = stored.type, field.type
    if types.is_null(here) or (types.is_string(there) and stored.metadata != JSONB and field.metadata == JSONB):
        return True
    if types.is_decimal(there):
        return bool(types.is_decimal(here) or here in INTEGERS)
    if types.is_date(here):
        return bool(types.is_timestamp(there) and there.tz is None)
    return all(types.is_integer(kind) or types.is_floating(kind) for kind in (there, here))


def as_there(table: str, schema: pa.Schema, found: dict[str, str]) -> None:
    """Where the table has a text, the file's values are read as text: `007` and `1.50` stay what they are."""
    wanted = [
        field.with_type(pa.string())
        if is_text(found.get(field.name, "")) and field.metadata is None and not pa.types.is_null(field.type)
        else field
        for field in schema
    ]
    if wanted != list(schema):
        raise WiderSchemaNeeded(pa.schema(wanted), f"table {table} has text where the file may have numbers")


def prepare(connection: Connection, table: str, schema: pa.Schema, log: Log) -> pa.Schema:
    """The table is there and takes the schema's columns; the schema in the table's types."""
    if SLICE_COLUMN in schema.names:
        raise LoadError(f"The file has a column {SLICE_COLUMN!r}, the name of our own. Rename it.")
    # No index on the slice's number: even BRIN slows COPY by a tenth.
    found = ensure(connection, table, schema, f"{quote(SLICE_COLUMN)} integer NOT NULL", log)
    if SLICE_COLUMN not in found:
        raise LoadError(
            f"Table {table} lacks the column {SLICE_COLUMN} that tells the slices apart. Load into another table,"
            f" or: ALTER TABLE {quoted(table)} ADD COLUMN {SLICE_COLUMN} integer."
        )
    return target_schema(table, found, schema)


def ensure(connection: Connection, table: str, schema: pa.Schema, last: str, log: Log) -> dict[str, str]:
    """Column -> SQL type of the table, which is made (see create_table) where there is none."""
    found = columns_of(connection, table)
    if not found:
        lock(connection, table, log)
        found = columns_of(connection, table)
    if not found:
        create_table(connection, table, schema, last)
        ledger.forget(connection, table)
        found = columns_of(connection, table)
    return found
