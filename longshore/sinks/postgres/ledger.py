"""The ledger: one row for each slice that is in a table, written in the transaction that loaded it."""

import json
import logging
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

from longshore.report import Report
from longshore.sinks.postgres.connection import lock, transaction

LEDGER = "load_ledger"
DDL = f"""
CREATE TABLE IF NOT EXISTS {LEDGER} (
  slice_id     integer GENERATED ALWAYS AS IDENTITY,
  table_name   text NOT NULL,
  slice        text NOT NULL,
  source       text NOT NULL,
  fingerprint  text,
  settings     text NOT NULL,
  rows_read    bigint NOT NULL,
  rows_dropped jsonb NOT NULL,
  rows_loaded  bigint NOT NULL,
  blocks       int8range NOT NULL,
  bytes        bigint NOT NULL,
  seconds      double precision NOT NULL,
  flow_run     text,
  loaded_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (table_name, slice),
  UNIQUE (slice_id)
)"""


@dataclass(frozen=True)
class Entry:
    """What the ledger says of a slice.

    settings: what else than the source decides the rows. blocks: of the table's file, from and below, in
    which the rows were written.
    """

    slice_id: int
    fingerprint: str | None
    settings: str
    rows_loaded: int
    blocks: tuple[int, int]


def ensure(engine: Engine, log: logging.Logger | logging.LoggerAdapter[Any]) -> None:
    """Make the ledger where there is none."""
    with transaction(engine) as connection:
        if not _is_there(connection):
            lock(connection, LEDGER, log)
            connection.exec_driver_sql(DDL)


def find(connection: Connection, table: str, slice_name: str) -> Entry | None:
    row = connection.execute(
        text(
            f"SELECT slice_id, fingerprint, settings, rows_loaded, lower(blocks), upper(blocks) FROM {LEDGER}"
            " WHERE table_name = :table AND slice = :slice"
        ),
        {"table": table, "slice": slice_name},
    ).one_or_none()
    if row is None:
        return None
    slice_id, fingerprint, said, rows, first, end = row
    return Entry(slice_id, fingerprint, said, rows, (first or 0, end or 0))  # an empty range has no bounds


def forget(connection: Connection, table: str) -> None:
    """The table is not there any more, so neither are its slices."""
    if _is_there(connection):
        connection.execute(text(f"DELETE FROM {LEDGER} WHERE table_name = :table"), {"table": table})


def _is_there(connection: Connection) -> bool:
    return connection.execute(text("SELECT to_regclass(:name)"), {"name": LEDGER}).scalar() is not None


def new_slice_id(connection: Connection) -> int:
    """A number that no slice has had."""
    sql = text("SELECT nextval(pg_get_serial_sequence(:ledger, 'slice_id'))")
    return int(connection.execute(sql, {"ledger": LEDGER}).scalar_one())


def record(
    connection: Connection,
    slice_id: int,
    source: str,
    fingerprint: str | None,
    settings: str,
    report: Report,
    blocks: tuple[int, int],
    flow_run: str | None,
) -> None:
    """Write the slice's row."""
    key = {"slice_id": slice_id, "table_name": report.target, "slice": report.slice}
    values = {
        "source": source,
        "fingerprint": fingerprint,
        "settings": settings,
        "rows_read": report.rows_read,
        "rows_dropped": json.dumps(report.dropped),
        "rows_loaded": report.rows_loaded,
        "blocks": f"[{blocks[0]},{blocks[1]})",
        "bytes": report.bytes,
        "seconds": report.seconds,
        "flow_run": flow_run,
    }
    columns = [*key, *values]
    connection.execute(
        text(
            f"INSERT INTO {LEDGER} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE"
            f" VALUES ({', '.join(':' + name for name in columns)}) ON CONFLICT (table_name, slice)"
            f" DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in values)}, loaded_at = now()"
        ),
        key | values,
    )
