"""Rows -> a table of one load's own, by a load job; the table is gone in the end.

A process that is killed leaves its table. While it lives it touches the table each minute, so that the next load of
the dataset can tell a table of a dead run from one of a run that is loading.
"""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import count
from typing import TypeAlias

from google.api_core.exceptions import GoogleAPICallError
from google.cloud.bigquery import (
    CreateDisposition,
    DatasetReference,
    LoadJob,
    LoadJobConfig,
    Table,
    TableReference,
    WriteDisposition,
)

from longshore.errors import LoadError
from longshore.sinks.bigquery.footers import Footers
from longshore.sinks.bigquery.service import TIMEOUT, Service, explained, failure
from longshore.sinks.bigquery.sql import STAGING
from longshore.sinks.bigquery.tables import fields, find_table

Source: TypeAlias = Sequence[str] | bytes  # addresses of Parquet objects, or one Parquet file itself

TOUCH = timedelta(minutes=1)  # how often a run touches its table
SILENCE = timedelta(minutes=5)  # a table that nobody has touched for so long is a dead run's
LIFE = timedelta(days=1)  # after the last touch the service drops the table, where no load comes by before


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
        table = dataset.table(f"{STAGING}{key}_{attempt}")
        try:
            with _touching(service, table):
                if _load(service, table, name, source, footers.columns):
                    yield table
                    return
        finally:
            _drop(service, table)


def _load(service: Service, table: TableReference, name: str, source: Source, columns: dict[str, str]) -> bool:
    """Load the source into the table; False when a job of its id is of no use any more."""
    config = LoadJobConfig(
        source_format="PARQUET",
        schema=fields(columns),
        write_disposition=WriteDisposition.WRITE_TRUNCATE,
        create_disposition=CreateDisposition.CREATE_NEVER,  # a dead run's job makes no table that never goes
    )
    job_id = f"longshore-{table.table_id}"
    staging = Table(table, fields(columns))
    staging.expires = _now() + LIFE
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
        service.log.warning("The table is left to the next load: %s", error)


def drop_abandoned(service: Service, dataset: DatasetReference, key: str, done: bool = False) -> None:
    """Drop the dataset's staging tables that dead runs left, of any slice; never those of a run that is loading.

    key: of this load. Tables of its own key, left by a process whose place this one takes, stay, to go on with; when
    there is nothing left to do (done), they go.
    """
    with _only_noted(service):
        for item in list(service.client.list_tables(dataset, **service.calls)):
            if not re.fullmatch(rf"{STAGING}\w+_\d+", item.table_id):
                continue
            ours = item.table_id.startswith(f"{STAGING}{key}_")
            if done if ours else _silent(service, item.reference):
                service.log.info("Dropping %s, which a run that died left.", item.table_id)
                _drop(service, item.reference)


def _silent(service: Service, table: TableReference) -> bool:
    found = find_table(service, table)
    return found is not None and _now() - found.modified > SILENCE


@contextmanager
def _touching(service: Service, table: TableReference) -> Iterator[None]:
    """Touch the table again and again while the block runs, whatever that is waiting for."""
    over = threading.Event()

    def touch() -> None:
        while not over.wait(TOUCH.total_seconds()):
            with _only_noted(service):
                lives = Table(table)
                lives.expires = _now() + LIFE
                service.client.update_table(lives, ["expires"], **service.calls)

    threading.Thread(target=touch, name=f"touching {table.table_id}", daemon=True).start()
    try:
        yield
    finally:
        over.set()  # not waited for: a touch that comes late finds no table, and makes none


@contextmanager
def _only_noted(service: Service) -> Iterator[None]:
    """Housekeeping: what fails here fails no load."""
    try:
        with explained("Staging tables"):
            yield
    except (LoadError, GoogleAPICallError) as error:
        service.log.debug("%s", error)


def _now() -> datetime:
    return datetime.now(UTC)
