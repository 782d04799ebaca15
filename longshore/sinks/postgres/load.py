"""A source becomes one slice of a Postgres table, exactly once."""

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain

import pyarrow as pa
from sqlalchemy import Engine

from longshore import report
from longshore.backoff import Backoff, Log
from longshore.errors import LoadError
from longshore.read_ahead import read_ahead
from longshore.report import Report
from longshore.rows.kept import Counts, kept, telling
from longshore.rows.table import Table, widening
from longshore.sinks.load import Load
from longshore.sinks.postgres import ledger
from longshore.sinks.postgres.connection import lock, transaction
from longshore.sinks.postgres.copying import check_text, copy, encoded, numbered, with_slice
from longshore.sinks.postgres.target import as_there, canonical, columns_of, delete_slice, prepare, size_in_blocks


@dataclass(frozen=True)
class PostgresTable:
    """A table, NAME or SCHEMA.NAME; made where there is none."""

    engine: Engine
    name: str

    def load(self, load: Load, log: Log, backoff: Backoff) -> Report:
        """All in one transaction: on any error (LoadError, with file, row, column) table and ledger are as before."""
        ledger.ensure(self.engine, log)
        return widening(load.title, lambda inferred: self._attempt(load, log, backoff, inferred), log)

    def _attempt(self, load: Load, log: Log, backoff: Backoff, inferred: pa.Schema | None) -> Report:
        started = time.monotonic()
        with ExitStack() as stack:
            connection = stack.enter_context(transaction(self.engine))
            table = canonical(connection, self.name)
            load = replace(load, sink=replace(self, name=table))
            lock(connection, f"{table} {load.slice}", log)
            source = stack.enter_context(load.source.open(log, backoff))
            entry = ledger.find(connection, table, load.slice) if columns_of(connection, table) else None
            settings = _settings(load)
            held = (entry.fingerprint, entry.settings) if entry and source.fingerprint and not load.force else None
            if held == (source.fingerprint, settings):
                return report.unchanged(load)
            found = source.table(inferred or load.schema, widen=load.schema is None)
            if load.schema is None:
                there = columns_of(connection, table)
                as_there(table, found.schema, there)
                first = next(found.batches, None)
                if first is None and not there:
                    log.info("%s has no rows, so nothing tells the columns' types: no table is made.", source.name)
                    return report.loaded(load, started, 0, 0, bytes=source.bytes_received)
                found = Table(found.schema, chain([first] if first else [], found.batches))
            target = prepare(connection, table, found.schema, log)
            if entry:
                delete_slice(connection, table, entry)
            slice_id = entry.slice_id if entry else ledger.new_slice_id(connection)
            counts = Counts()
            rows = kept(found.batches, source.name, target, load.rule, counts, check_text)
            stored = with_slice(target)
            rows = numbered(telling(rows, load.title, counts, log), stored, slice_id)
            parts = stack.enter_context(read_ahead(encoded(rows, stored)))
            before = max(0, size_in_blocks(connection, table) - 1)  # the last block may have room
            arrived = copy(connection, table, stored, parts, source.name)
            if counts.kept != arrived:
                raise LoadError(
                    f"{load.title}: {counts.read:,} rows read but {arrived:,} arrived; nothing was changed."
                )
            done = report.loaded(load, started, counts.read, arrived, counts.dropped, source.bytes_received)
            blocks = (before, size_in_blocks(connection, table))
            ledger.record(connection, slice_id, source.name, source.fingerprint, settings, done, blocks, load.flow_run)
        return done


def _settings(load: Load) -> str:
    """What decides the rows besides the source: a change of it loads the slice anew."""
    form, drops = load.source.file_format, sorted(load.rule.drops)
    return json.dumps({"format": form, "columns": load.columns(), "drops": drops})
