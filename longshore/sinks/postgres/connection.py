"""Postgres: one transaction or nothing, locks, quoting, and what its errors mean."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from longshore.errors import LoadError

LOCK_SPACE = "longshore"
# SQLSTATEs of faults that may succeed later: connection, deadlock, too many clients, lock timeout, shutdown, system.
RETRYABLE = ("08", "40", "53300", "55P03", "57P", "58")


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


def explain(error: BaseException, engine: Engine, source: str = "") -> LoadError:
    """What Postgres said, where it was said, and what to do. Never the password."""
    url = engine.url
    where = f"Postgres {url.host or url.query.get('host', 'on the local socket')}:{url.port or 5432}/{url.database}"
    where = f"{source}: {where}" if source else where
    code = getattr(error, "pgcode", None) or ""
    said = str(error).strip()
    if url.password:
        said = said.replace(str(url.password), "…")
    if not code:
        if "authentication failed" in said or "no password supplied" in said:
            return LoadError(
                f"{where}: wrong user or password for {url.username!r}. Correct the block or WAREHOUSE_URL."
            )
        if re.search(r'(database|role) ".*" does not exist', said):
            return LoadError(f"{where}: {_line(said)}. Create it, or correct the block or WAREHOUSE_URL.")
        return LoadError(f"{where} cannot be reached or went away: {_line(said)}. Is it running?", retryable=True)
    said = _line(said)
    row = re.search(r"COPY \S+, line (\d+)(?:, column (\S+))?", str(error))
    if row:
        said += f" (row {int(row[1]):,} of what was sent" + (f", column {row[2]!r})" if row[2] else ")")
    advice = {
        "53100": " The disk is full: make room, then run it again; nothing was loaded.",
        "42501": " Grant the right, or use another user.",
    }.get(code, "")
    return LoadError(f"{where}: {said}.{advice}", retryable=code.startswith(RETRYABLE))


def _line(said: str) -> str:
    """The message itself, on one line; not the DETAIL, which shows a row's values."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("CONTEXT", "DETAIL", "HINT", "LINE", "^"))]
    return "; ".join(kept[:2]).rstrip(".?") or "no reason given"


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


def execute(connection: Connection, sql: str) -> int:
    """Run a statement with names in it, where a `%` is no placeholder; the number of rows it touched."""
    return connection.exec_driver_sql(sql.replace("%", "%%")).rowcount
