"""Rows -> a table of one load's own, by a load job; the table is gone in the end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import count
from typing import TypeAlias

from google.cloud.bigquery import DatasetReference, LoadJob, LoadJobConfig, Table, TableReference, WriteDisposition

from jobs.common.bigquery.objects import Footers
from jobs.common.bigquery.service import TIMEOUT, Service, explained, failure
from jobs.common.bigquery.tables import fields
from jobs.common.errors import LoadError

Source: TypeAlias = Sequence[str] | bytes  # addresses of Parquet objects, or one Parquet file itself

LIFE = timedelta(days=1)  # of a staging table whose process was killed


@contextmanager
def staged(
    service: Service, dataset: DatasetReference, name: str, key: str, source: Source, footers: Footers
) -> Iterator[TableReference]:
    """A table with the rows of the source, whose footers are given. name: of the load, for messages.

    Its columns are in the source's order: the service takes a Parquet column by its name, the emulator by its place.
    key: the same for the same load in the same run, so that a process that takes the place of a dead one goes on with
    the job that this one began.
    """
    for attempt in count(1):
        table = dataset.table(f"load_staging_{key}_{attempt}")
        try:
            if _load(service, table, name, source, footers.columns):
                yield table
                return
        finally:
            _drop(service, table)


def _load(service: Service, table: TableReference, name: str, source: Source, columns: dict[str, str]) -> bool:
    """Load the source into the table; False when a job of its id is of no use any more."""
    config = LoadJobConfig(
        source_format="PARQUET", schema=fields(columns), write_disposition=WriteDisposition.WRITE_TRUNCATE
    )
    job_id = f"longshore-{table.table_id}"
    staging = Table(table, fields(columns))
    staging.expires = datetime.now(UTC) + LIFE
    with explained(name):
        made = service.client.create_table(staging, exists_ok=True, **service.calls).created
        job, ours = service.ended(job_id, lambda: _begin(service, table, job_id, source, config))
    if ours and job.error_result:
        raise failure(name, job)
    return ours or not (job.error_result or job.created < made)  # what an older job loaded has been dropped


def _begin(service: Service, table: TableReference, job_id: str, source: Source, config: LoadJobConfig) -> LoadJob:
    client, where = service.client, service.location
    if not isinstance(source, bytes):
        return client.load_table_from_uri(
            source, table, job_id=job_id, location=where, job_config=config, **service.calls
        )

    def upload() -> LoadJob:  # from the start when it breaks: the service runs the job's id once
        return client.load_table_from_file(
            BytesIO(source), table, num_retries=0, job_id=job_id, location=where, job_config=config, timeout=TIMEOUT
        )

    job: LoadJob = service.calls["retry"](upload)()
    return job


def _drop(service: Service, table: TableReference) -> None:
    try:
        with explained(str(table)):
            service.client.delete_table(table, not_found_ok=True, **service.calls)
    except LoadError as error:
        service.log.warning("The table is left for a day: %s", error)
