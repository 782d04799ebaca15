"""Parquet objects in a bucket become one slice of a BigQuery table, exactly once. No row comes through here."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from uuid import uuid4

from google.cloud import bigquery

from longshore import report
from longshore.backoff import Backoff, Log
from longshore.errors import LoadError
from longshore.report import Report
from longshore.sinks.bigquery import ledger, sql, tables
from longshore.sinks.bigquery.columns import columns_of, table_columns
from longshore.sinks.bigquery.footers import read_footers
from longshore.sinks.bigquery.service import Service
from longshore.sinks.bigquery.staging import drop_abandoned, staged
from longshore.sinks.load import Load
from longshore.sources.objects import FoundObjects


@dataclass(frozen=True)
class BigQueryTable:
    """A table, and its dataset; made where there are none.

    month: marks the rows in a column `month`, by which the table is partitioned; without it the slice's name does, in
    `load_slice`. cluster: columns by which the table is sorted. location: of a dataset that has to be made; None: where
    the objects are.
    """

    client: bigquery.Client
    dataset: str
    table: str
    month: date | None = None
    cluster: tuple[str, ...] = ()
    location: str | None = None

    @property
    def name(self) -> str:
        return f"{self.dataset}.{self.table}"

    @property
    def mark(self) -> bigquery.SchemaField:
        """The column that tells the slices apart."""
        name, kind = ("month", "DATE") if self.month else ("load_slice", "STRING")
        return bigquery.SchemaField(name, kind, mode="REQUIRED")

    def place(self, slice: str) -> sql.Slice:
        """Where the rows of a slice go. Raises LoadError for a name that cannot be."""
        sql.check_names(self.dataset, self.table)
        dataset = bigquery.DatasetReference(self.client.project, self.dataset)
        return sql.Slice(dataset, self.table, slice, self.mark.name, self.month or slice)

    def load(self, load: Load, log: Log, backoff: Backoff) -> Report:
        """On any error (LoadError, with object and column) table and ledger are as before. The source is Objects."""
        started = time.monotonic()
        place = self.place(load.slice)
        service = Service(self.client, backoff, log)
        with _objects(load, log, backoff) as found:
            dataset = tables.find_dataset(service, self.dataset, self.location)
            if dataset:
                service = replace(service, location=dataset.location)
            table = tables.find_table(service, place.target) if dataset else None
            columns, whose = self._expected(load, table)
            if table:
                tables.check_table(table, tables.new_table(place.target, columns or {}, self.mark, self.cluster))
            entry = ledger.find(service, place, table is not None) if dataset else None
            settings = json.dumps({"columns": columns if load.schema else "the objects'", "mark": self.mark.name})
            key = _key(place, found, settings, load)
            done = bool(entry and entry.holds(found.fingerprint, settings) and not load.force)
            if dataset:
                drop_abandoned(service, place.dataset, key, done)
            if done:
                return report.unchanged(load)
            footers = read_footers(found, columns, whose, service.backoff)
            if self.mark.name in map(str.lower, footers.columns):
                raise LoadError(f"{found.name}: column {self.mark.name!r} has the name of our own. Rename it.")
            if not dataset:
                dataset = tables.make_dataset(service, self.dataset, self.location, found.blobs[0].bucket)
                service = replace(service, location=dataset.location)
            with staged(service, place.dataset, found.name, key, found.uris, footers) as staging:
                if found.changed():
                    raise LoadError(f"{found.name}: changed while it was loaded. Run it again.", retryable=True)
                if not table:
                    tables.make_table(
                        service, tables.new_table(place.target, columns or footers.columns, self.mark, self.cluster)
                    )
                new = ledger.Entry(staging.table_id, found.fingerprint, settings, footers.rows, footers.rows)
                notes: dict[str, sql.Value] = {
                    "source": found.name,
                    "bytes": footers.bytes,
                    "seconds": time.monotonic() - started,
                    "flow_run": load.flow_run,
                }
                ours = ledger.commit(service, place, staging, footers.columns, entry, new, notes)
        if not ours:
            return report.unchanged(load)
        return report.loaded(load, started, footers.rows, footers.rows, bytes=footers.bytes)

    def _expected(self, load: Load, table: bigquery.Table | None) -> tuple[dict[str, str] | None, str]:
        """The columns that the objects must have, and who says so; None where nobody does."""
        if load.schema is not None:
            return columns_of(load.title, load.schema), "the data set"
        if table is None:
            return None, ""
        columns = table_columns(table)
        columns.pop(self.mark.name, None)
        return columns, f"table {self.name}"


@contextmanager
def _objects(load: Load, log: Log, backoff: Backoff) -> Iterator[FoundObjects]:
    """The source's objects. Raises LoadError for another source, or for a rule: no row comes through here."""
    with load.source.open(log, backoff) as found:
        if not isinstance(found, FoundObjects) or load.rule.drops:
            raise LoadError(
                f"{load.title}: BigQuery takes whole objects of a bucket. Copy the rows to a bucket first, and drop"
                " there what is not wanted."
            )
        yield found


def _key(place: sql.Slice, found: FoundObjects, settings: str, load: Load) -> str:
    """The same for the same load in the same run, however often that is tried."""
    parts = [str(place.target), place.name, found.fingerprint, settings, load.flow_run or uuid4().hex]
    return sha256(json.dumps(parts).encode()).hexdigest()[:24]
