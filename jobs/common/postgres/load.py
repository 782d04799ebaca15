"""One file on the web becomes one slice of a Postgres table, exactly once."""

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain

import pyarrow as pa
from sqlalchemy import Engine

from jobs.common.backoff import Backoff, Log
from jobs.common.errors import LoadError
from jobs.common.postgres import ledger
from jobs.common.postgres.connection import lock, transaction
from jobs.common.postgres.copying import check_text, copy, encoded, numbered, with_slice
from jobs.common.postgres.target import as_there, canonical, columns_of, delete_slice, prepare, size_in_blocks
from jobs.common.read_ahead import read_ahead
from jobs.common.report import Report
from jobs.common.rows import Counts, kept, telling, widening
from jobs.common.rules import NO_RULE, Rule
from jobs.common.tables.read import Format, Table, read_table
from jobs.common.web import open_url


@dataclass(frozen=True)
class Load:
    """What to load and where. schema: the declared columns, None to infer them from the file."""

    url: str
    table: str
    slice: str
    title: str
    file_format: Format | None = None
    schema: pa.Schema | None = None
    rule: Rule = NO_RULE
    force: bool = False
    flow_run: str | None = None

    @property
    def target(self) -> str:
        return self.table


def run(load: Load, engine: Engine, log: Log, backoff: Backoff | None = None) -> Report:
    """Load the file, or do nothing when the slice holds it already.

    All in one transaction: on any error (LoadError, with file, row, column) table and ledger are as before.
    """
    ledger.ensure(engine, log)
    return widening(load.title, lambda inferred: _attempt(load, engine, log, backoff, inferred), log)


def _attempt(load: Load, engine: Engine, log: Log, backoff: Backoff | None, inferred: pa.Schema | None) -> Report:
    started = time.monotonic()
    with ExitStack() as stack:
        connection = stack.enter_context(transaction(engine))
        load = replace(load, table=canonical(connection, load.table))
        lock(connection, f"{load.table} {load.slice}", log)
        remote = stack.enter_context(open_url(load.url, log, backoff))
        entry = ledger.find(connection, load.table, load.slice) if columns_of(connection, load.table) else None
        settings = _settings(load)
        held = (entry.fingerprint, entry.settings) if entry and remote.fingerprint and not load.force else None
        if held == (remote.fingerprint, settings):
            return Report(load.title, load.table, load.slice, "unchanged")
        table = read_table(remote, stack, load.file_format, inferred or load.schema, widen=load.schema is None)
        if load.schema is None:
            found = columns_of(connection, load.table)
            as_there(load.table, table.schema, found)
            first = next(table.batches, None)
            if first is None and not found:
                log.info("%s has no rows, so nothing tells the columns' types: no table is made.", remote.name)
                return Report(load.title, load.table, load.slice, "loaded", bytes=remote.bytes_received)
            table = Table(table.schema, chain([first] if first else [], table.batches))
        target = prepare(connection, load.table, table.schema, log)
        if entry:
            delete_slice(connection, load.table, entry)
        slice_id = entry.slice_id if entry else ledger.new_slice_id(connection)
        counts = Counts()
        rows = kept(table.batches, remote.name, target, load.rule, counts, check_text)
        stored = with_slice(target)
        rows = numbered(telling(rows, load.title, counts, log), stored, slice_id)
        parts = stack.enter_context(read_ahead(encoded(rows, stored)))
        before = max(0, size_in_blocks(connection, load.table) - 1)  # the last block may have room
        loaded = copy(connection, load.table, stored, parts, remote.name)
        if counts.kept != loaded:
            raise LoadError(f"{load.title}: {counts.read:,} rows read but {loaded:,} arrived; nothing was changed.")
        report = Report(
            load.title, load.table, load.slice, "loaded", counts.read, counts.dropped, loaded,
            remote.bytes_received, time.monotonic() - started,
        )  # fmt: skip
        blocks = (before, size_in_blocks(connection, load.table))
        ledger.record(connection, slice_id, remote.name, remote.fingerprint, settings, report, blocks, load.flow_run)
    return report


def _settings(load: Load) -> str:
    """What decides the rows besides the source: a change of it loads the slice anew."""
    columns = {f.name: str(f.type) for f in load.schema} if load.schema else "inferred"
    return json.dumps({"format": load.file_format, "columns": columns, "drops": sorted(load.rule.drops)})
