"""Web to Postgres: each file becomes one slice of a table, exactly once."""

from datetime import date, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run
from prefect.states import Completed, Failed, State
from prefect.tasks import exponential_backoff

from jobs.common import load
from jobs.common.errors import LoadError
from jobs.common.report import Report, failures, summary
from jobs.common.schemas import declared_schema
from jobs.common.tables import Format
from jobs.common.warehouse import engine
from jobs.common.web import Backoff, public_url
from jobs.datasets import taxi

CITY = ZoneInfo("America/New_York")


def _may_pass(task: Any, task_run: Any, state: State[Any]) -> bool:
    error = state.result(raise_on_failure=False)
    return bool(getattr(error, "transient", True))


@task(
    name="load-file",
    task_run_name="{job.title}",
    retries=2,
    retry_delay_seconds=exponential_backoff(backoff_factor=Backoff().first * 5),
    retry_condition_fn=_may_pass,
)
def load_file(job: load.Load, connector: str) -> Any:
    """Load one file. A failed state, not an exception, for what is not the code's fault: the log stays readable."""
    log = get_run_logger()
    try:
        report = load.run(job, engine(connector), log)
    except LoadError as error:
        return Failed(message=str(error), data=error)
    log.info("%s", report)
    return report


@flow(name="web-to-postgres")
def web_to_postgres(
    dataset: str = "yellow",
    year: int | None = None,
    months: list[int] | None = None,
    url: str | None = None,
    table: str | None = None,
    file_format: Format | None = None,
    columns: dict[str, str] | None = None,
    slice: str | None = None,
    keep_zero_passengers: bool = False,
    force: bool = False,
    connector: str = "postgres-connector",
) -> Any:
    """Load months of taxi trips, or any one file, into Postgres, exactly once.

    Args:
        dataset: Which taxi trips: yellow or green.
        year: The year of the months; alone, it means all twelve. Default with months: 2021.
        months: The months to load, 1 to 12. Without year and months: the month before the scheduled start.
        url: Instead of a data set: any http(s) address of a csv, json, jsonl or parquet file, gzipped or not.
        table: The table to load into, NAME or SCHEMA.NAME. Needed with url; a data set has a default.
        file_format: The file's format where its name does not tell.
        columns: With url: the file's columns and SQL types, {"id": "bigint"}. Inferred when left out.
        slice: With url: the file's name in the ledger, for an address that is never the same twice (a signed one).
        keep_zero_passengers: Load the trips with 0 passengers as well.
        force: Load again even if the file has not changed.
        connector: The SqlAlchemyConnector block that names the database; WAREHOUSE_URL takes its place.
    """
    try:
        if url:
            jobs = [one_file(url, table, file_format, columns, slice, force)]
        elif columns or file_format or slice:
            raise LoadError("columns, file_format and slice go with url; a data set knows its own.")
        else:
            jobs = trips(dataset, year, months, table, keep_zero_passengers, force)
    except LoadError as error:
        return Failed(message=str(error))
    reports = []
    for job in jobs:
        state = load_file(job, connector, return_state=True)
        result = state.result(raise_on_failure=False)
        done = isinstance(result, Report)
        reports.append(
            result if done else Report(job.title, job.table, job.slice, "failed", error=state.message or str(result))
        )
    create_table_artifact(  # type: ignore[unused-coroutine]  # runs at once in a synchronous flow
        key="web-to-postgres", table=[report.row() for report in reports], description="What each file's load did."
    )
    said = failures(reports)
    if said:
        return Failed(message=said, data=reports)
    return Completed(message=summary(reports), data=reports)


def one_file(
    url: str,
    table: str | None,
    file_format: Format | None,
    columns: dict[str, str] | None,
    slice: str | None,
    force: bool,
) -> load.Load:
    """Any one file; its slice is called after its address, with a hash for what is not shown of it.

    Raises LoadError when the table is not said.
    """
    if not table:
        raise LoadError("url needs table: say which table to load the file into.")
    name = public_url(url)
    schema = declared_schema(columns) if columns else None
    title = name.rsplit("/", 1)[-1]
    address = f"{name} {sha256(query.encode()).hexdigest()[:12]}" if (query := urlsplit(url).query) else name
    return load.Load(url, table, slice or address, title, file_format, schema, force=force, flow_run=flow_run.id)


def trips(
    dataset: str, year: int | None, months: list[int] | None, table: str | None, keep_zero_passengers: bool, force: bool
) -> list[load.Load]:
    """A month's file each. Raises LoadError for a month that cannot be."""
    data = taxi.dataset(dataset)
    return [
        load.Load(
            url=data.url(month),
            table=table or data.table,
            slice=f"{data.name} {month:%Y-%m}",
            title=f"{data.name} {month:%Y-%m}",
            schema=data.schema,
            rule=load.Rule() if keep_zero_passengers else taxi.NO_ZERO_PASSENGERS,
            force=force,
            flow_run=flow_run.id,
        )
        for month in taxi.months_of(year, months, _today())
    ]


def _today() -> date:
    """The day of the scheduled start, where the trips were: a late run still means its own month."""
    return datetime.fromtimestamp(flow_run.scheduled_start_time.timestamp(), CITY).date()
