"""Rows are appended to a BigQuery table, each exactly once, by a key that the service itself does not enforce.

Each append loads a staging table of its own and then runs one script, so that the table itself sees DML only: how often
load jobs may change a table in a day is limited, DML is not, only that ten INSERTs run at a time after the first 1,500
of a day. https://docs.cloud.google.com/bigquery/quotas and /bigquery/docs/data-manipulation-language
"""

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count
from uuid import uuid4

import pyarrow as pa
from google.cloud import bigquery, storage

from longshore import report
from longshore.backoff import Backoff, Log
from longshore.errors import LoadError
from longshore.formats.parquet_parts import parquet_file
from longshore.report import Report
from longshore.rows.keyed import first_of_each
from longshore.sinks.bigquery import ledger, sql, tables
from longshore.sinks.bigquery.columns import check_columns, columns_of, table_columns
from longshore.sinks.bigquery.footers import Footers
from longshore.sinks.bigquery.service import Service, explained
from longshore.sinks.bigquery.staging import drop_abandoned, staged

MARK = bigquery.SchemaField(sql.DAY, "DATE", mode="REQUIRED")


@dataclass(frozen=True)
class Append:
    """Rows, and the table they go into. key: columns, never null, by which rows are the same observation.

    moment: the timestamp of the key whose day, in UTC, is the row's partition, `observation_day`: rows of one key are
    in one partition. cluster: columns by which partitions are sorted. title: what the rows are called in logs.
    location: of a dataset that has to be made; where there is none, that of the bucket.
    """

    dataset: str
    table: str
    rows: pa.Table
    key: tuple[str, ...]
    moment: str
    title: str
    cluster: tuple[str, ...] = ()
    location: str | None = None
    bucket: storage.Bucket | None = None
    flow_run: str | None = None

    @property
    def target(self) -> str:
        return f"{self.dataset}.{self.table}"

    @property
    def slice(self) -> str:
        return self.title


def run(append: Append, client: bigquery.Client, log: Log, backoff: Backoff | None = None) -> Report:
    """Append the rows whose key the table does not have; of rows with one key, the first that came stays.

    Dataset and table are made where there are none. One transaction: on any error (LoadError) the table is as before.
    """
    started = time.monotonic()
    sql.check_names(append.dataset, append.table)
    if not append.rows.num_rows:
        return report.unchanged(append)
    rows = with_day(first_of_each(append.rows, append.key, append.title), append)
    columns = columns_of(append.title, rows.schema)
    place = sql.Place(bigquery.DatasetReference(client.project, append.dataset), append.table)
    service = Service(client, backoff or Backoff(), log)
    dataset = tables.find_dataset(service, append.dataset, append.location)
    dataset = dataset or tables.make_dataset(service, append.dataset, append.location, append.bucket)
    service = replace(service, location=dataset.location)
    _prepare(service, place, columns, append)
    data, _ = parquet_file(rows)
    footers = Footers(rows.num_rows, columns, len(data))
    key = _key(place, data, append)
    drop_abandoned(service, place.dataset, key)
    with staged(service, place.dataset, append.title, key, data, footers) as staging:
        days = sorted(set(rows[sql.DAY].to_pylist()))
        _commit(service, place, sql.append(place, staging, columns, append.key, days), staging.table_id)
        with explained(append.title):
            loaded = int(service.rows(f"SELECT COUNT(*) AS loaded FROM {sql.quoted(staging)}")[0]["loaded"])
    given = append.rows.num_rows
    return report.loaded(append, started, given, loaded, {"there already": given - loaded})


def with_day(rows: pa.Table, append: Append) -> pa.Table:
    """The rows, and last the day in UTC of their moment."""
    if append.moment not in append.key:
        raise LoadError(f"{append.title}: {append.moment!r} is not in the key {', '.join(append.key)}.")
    if sql.DAY in map(str.lower, rows.column_names):
        raise LoadError(f"{append.title}: column {sql.DAY!r} has the name of our own. Rename it.")
    kind = rows.schema.field(append.moment).type
    if not pa.types.is_timestamp(kind):
        raise LoadError(f"{append.title}, column {append.moment!r} is {kind}, not a timestamp.")
    return rows.append_column(sql.DAY, rows[append.moment].cast(pa.timestamp("us", "UTC")).cast(pa.date32()))


def _prepare(service: Service, place: sql.Place, columns: dict[str, str], append: Append) -> None:
    """The table is there, has the rows' columns and no others, and is partitioned by the day. Raises LoadError."""
    given = {name: kind for name, kind in columns.items() if name != MARK.name}
    wanted = tables.new_table(place.target, given, MARK, append.cluster, bigquery.TimePartitioningType.DAY)
    found = tables.find_table(service, place.target)
    if not found:
        tables.make_table(service, wanted)
        return
    tables.check_kind(found)
    check_columns(f"Table {place.target}", table_columns(found), columns, append.title)
    if not found.time_partitioning or found.time_partitioning.field != MARK.name:
        raise LoadError(
            f"Table {place.target} is not partitioned by {MARK.name!r}: an append would search all of it. Append to"
            " another table, or drop this one: it is made anew."
        )


def _key(place: sql.Place, data: bytes, append: Append) -> str:
    """The same for the same rows in the same run, however often that is tried."""
    parts: Sequence[str] = [str(place.target), sha256(data).hexdigest(), append.flow_run or uuid4().hex]
    return sha256(json.dumps(parts).encode()).hexdigest()[:24]


def _commit(service: Service, place: sql.Place, script: str, name: str) -> None:
    """Run the transaction, again when another was in its way. Raises LoadError; then nothing was changed."""
    for failures in count(1):
        with explained(str(place.target)):
            job, ours = service.script(script, f"longshore-{name}-{failures}")
        if not job.error_result:
            return
        if ours:
            ledger.retry_or_raise(service, place, job, failures)
        time.sleep(service.backoff.delay(failures) * random.uniform(0.5, 1.5))
