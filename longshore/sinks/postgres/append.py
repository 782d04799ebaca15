"""Rows are appended to a Postgres table, each exactly once: the table's primary key tells them apart."""

import time
from dataclasses import dataclass

import pyarrow as pa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from longshore import report
from longshore.backoff import Log
from longshore.errors import LoadError
from longshore.report import Report
from longshore.rows.kept import NO_RULE, Counts, kept
from longshore.rows.keyed import first_of_each
from longshore.schemas import JSONB, storable
from longshore.sinks.postgres.connection import execute, quote, quoted, transaction
from longshore.sinks.postgres.copying import check_text, copy, encoded
from longshore.sinks.postgres.target import canonical, ensure, target_schema

GIVEN = "pg_temp.longshore_given"
NO_SUCH_KEY = "42P10"
ROWS = 65_536  # of one batch


@dataclass(frozen=True)
class Append:
    """Rows, and the table they go into. key: columns, never null, by which rows are the same observation.

    title: what the rows are called in logs.
    """

    table: str
    rows: pa.Table
    key: tuple[str, ...]
    title: str

    @property
    def target(self) -> str:
        return self.table

    @property
    def slice(self) -> str:
        return self.title


def run(append: Append, engine: Engine, log: Log) -> Report:
    """Append the rows whose key the table does not have; of rows with one key, the first that came stays.

    The table is made where there is none. All in one transaction: on any error (LoadError) it is as before. Two at
    once: keys are written in order, so one waits for the other, never both.
    """
    started = time.monotonic()
    if not append.rows.num_rows:
        return report.unchanged(append)
    rows = first_of_each(append.rows, append.key, append.title)
    with transaction(engine) as connection:
        table = canonical(connection, append.table)
        target = _prepare(connection, table, rows.schema, append, log)
        execute(connection, f"CREATE TEMP TABLE {quoted(GIVEN)} (LIKE {quoted(table)}) ON COMMIT DROP")
        batches = kept(iter(rows.to_batches(ROWS)), append.title, target, NO_RULE, Counts(), check_text)
        copy(connection, GIVEN, target, encoded(batches, target), append.title)
        loaded = _insert(connection, table, target, append.key)
    given = append.rows.num_rows
    return report.loaded(append, started, given, loaded, {"there already": given - loaded})


def _prepare(connection: Connection, table: str, schema: pa.Schema, append: Append, log: Log) -> pa.Schema:
    """The table is there and has the rows' columns, no others; the schema in its types."""
    schema = pa.schema([field if field.metadata == JSONB else storable(field) for field in schema])
    found = ensure(connection, table, schema, f"PRIMARY KEY ({_names(append.key)})", log)
    extra = [name for name in found if name not in schema.names]
    if extra:
        raise LoadError(
            f"Table {table} has columns that {append.title} lacks: {', '.join(extra)}. Append to another table."
        )
    return target_schema(table, found, schema)


def _insert(connection: Connection, table: str, schema: pa.Schema, key: tuple[str, ...]) -> int:
    """Insert the rows given whose key is new; how many those are."""
    columns = _names(schema.names)
    try:
        return execute(
            connection,
            f"INSERT INTO {quoted(table)} ({columns}) SELECT {columns} FROM {quoted(GIVEN)} ORDER BY {_names(key)}"
            f" ON CONFLICT ({_names(key)}) DO NOTHING",
        )
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) != NO_SUCH_KEY:
            raise
        raise LoadError(
            f"Table {table} does not keep {', '.join(key)} unique, so nothing tells which rows it has. Append to"
            f" another table, or: ALTER TABLE {quoted(table)} ADD PRIMARY KEY ({_names(key)})."
        ) from None


def _names(columns: tuple[str, ...] | list[str]) -> str:
    return ", ".join(map(quote, columns))
