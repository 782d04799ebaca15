"""Parquet objects in a bucket become one slice of a BigQuery table, exactly once. No row comes through here."""

import json
import time
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from uuid import uuid4

import pyarrow as pa
from google.cloud import bigquery, storage

from jobs.common.backoff import Backoff, Log
from jobs.common.bigquery import ledger, objects, sql, tables
from jobs.common.bigquery.columns import columns_of, table_columns
from jobs.common.bigquery.service import Service
from jobs.common.bigquery.staging import drop_abandoned, staged
from jobs.common.errors import LoadError
from jobs.common.report import Report


@dataclass(frozen=True)
class Load:
    """What to load and where.

    uri: gs://BUCKET/OBJECT, with one * at most. schema: the declared columns, None: those of the table or the objects.
    month: marks the rows in a column `month`, by which the table is partitioned; without it the slice's name does, in
    `load_slice`. cluster: columns by which the table is sorted. advice: what to do where there are no objects.
    """

    uri: str
    dataset: str
    table: str
    slice: str
    title: str
    schema: pa.Schema | None = None
    month: date | None = None
    cluster: tuple[str, ...] = ()
    location: str | None = None
    advice: str = "Is the address right?"
    force: bool = False
    flow_run: str | None = None

    @property
    def target(self) -> str:
        return f"{self.dataset}.{self.table}"

    @property
    def mark(self) -> bigquery.SchemaField:
        """The column that tells the slices apart."""
        name, kind = ("month", "DATE") if self.month else ("load_slice", "STRING")
        return bigquery.SchemaField(name, kind, mode="REQUIRED")

    def place(self, project: str) -> sql.Slice:
        """Where the rows go. Raises LoadError for a name that cannot be."""
        sql.check_names(self.dataset, self.table)
        dataset = bigquery.DatasetReference(project, self.dataset)
        return sql.Slice(dataset, self.table, self.slice, self.mark.name, self.month or self.slice)


def run(load: Load, store: storage.Client, client: bigquery.Client, log: Log, backoff: Backoff | None = None) -> Report:
    """Load the objects, or do nothing when the slice holds them already.

    On any error (LoadError, with object and column) table and ledger are as before.
    """
    started = time.monotonic()
    place = load.place(client.project)
    service = Service(client, backoff or Backoff(), log)
    found = objects.find(load.uri, store, service.backoff, load.advice)
    dataset = tables.find_dataset(service, load.dataset, load.location)
    if dataset:
        service = replace(service, location=dataset.location)
    table = tables.find_table(service, place.target) if dataset else None
    columns, whose = _expected(load, table)
    if table:
        tables.check_table(table, tables.new_table(place.target, columns or {}, load.mark, load.cluster))
    entry = ledger.find(service, place, table is not None) if dataset else None
    settings = json.dumps({"columns": columns if load.schema else "the objects'", "mark": load.mark.name})
    key = _key(place, found, settings, load)
    done = bool(entry and entry.holds(found.fingerprint, settings) and not load.force)
    if dataset:
        drop_abandoned(service, place.dataset, key, done)
    if done:
        return Report(load.title, load.target, load.slice, "unchanged")
    footers = objects.read_footers(found, columns, whose, service.backoff)
    if load.mark.name in map(str.lower, footers.columns):
        raise LoadError(f"{load.uri}: column {load.mark.name!r} has the name of our own. Rename it.")
    if not dataset:
        dataset = tables.make_dataset(service, load.dataset, load.location, found.blobs[0].bucket)
        service = replace(service, location=dataset.location)
    with staged(service, place.dataset, load.uri, key, found.uris, footers) as staging:
        if objects.find(load.uri, store, service.backoff, load.advice) != found:
            raise LoadError(f"{load.uri}: changed while it was loaded. Run it again.", transient=True)
        if not table:
            tables.make_table(
                service, tables.new_table(place.target, columns or footers.columns, load.mark, load.cluster)
            )
        new = ledger.Entry(staging.table_id, found.fingerprint, settings, footers.rows, footers.rows)
        notes: dict[str, sql.Value] = {
            "source": load.uri,
            "bytes": footers.bytes,
            "seconds": time.monotonic() - started,
            "flow_run": load.flow_run,
        }
        ours = ledger.commit(service, place, staging, footers.columns, entry, new, notes)
    if not ours:
        return Report(load.title, load.target, load.slice, "unchanged")
    seconds = time.monotonic() - started
    return Report(load.title, load.target, load.slice, "loaded", footers.rows, {}, footers.rows, footers.bytes, seconds)


def _expected(load: Load, table: bigquery.Table | None) -> tuple[dict[str, str] | None, str]:
    """The columns that the objects must have, and who says so; None where nobody does."""
    if load.schema is not None:
        return columns_of(load.title, load.schema), "the data set"
    if table is None:
        return None, ""
    columns = table_columns(table)
    columns.pop(load.mark.name, None)
    return columns, f"table {load.target}"


def _key(place: sql.Slice, found: objects.Objects, settings: str, load: Load) -> str:
    """The same for the same load in the same run, however often that is tried."""
    parts = [str(place.target), place.name, found.fingerprint, settings, load.flow_run or uuid4().hex]
    return sha256(json.dumps(parts).encode()).hexdigest()[:24]
