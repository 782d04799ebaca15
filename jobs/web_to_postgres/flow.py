"""Web to Postgres: each file becomes one slice of a table, exactly once."""

from typing import Any

from prefect import flow
from prefect.states import Failed

from jobs.common.backoff import Log
from jobs.common.errors import LoadError
from jobs.common.postgres import load
from jobs.common.postgres.warehouse import engine
from jobs.common.report import Report
from jobs.common.rules import NO_RULE
from jobs.common.schemas import declared_schema
from jobs.common.steps import run_all, run_id, scheduled_start, step
from jobs.common.tables.read import Format
from jobs.common.web import address, public_url
from jobs.datasets import taxi


def _load(job: load.Load, connector: str, log: Log) -> Report:
    return load.run(job, engine(connector), log)


load_file = step("load-file", _load)


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
    return run_all("web-to-postgres", load_file, jobs, connector)


def one_file(
    url: str,
    table: str | None,
    file_format: Format | None,
    columns: dict[str, str] | None,
    slice: str | None,
    force: bool,
) -> load.Load:
    """Any one file; its slice is called after its address. Raises LoadError when the table is not said."""
    if not table:
        raise LoadError("url needs table: say which table to load the file into.")
    title = public_url(url).rsplit("/", 1)[-1]
    schema = declared_schema(columns) if columns else None
    return load.Load(url, table, slice or address(url), title, file_format, schema, force=force, flow_run=run_id())


def trips(
    dataset: str, year: int | None, months: list[int] | None, table: str | None, keep_zero_passengers: bool, force: bool
) -> list[load.Load]:
    """A month's file each. Raises LoadError for a month that cannot be."""
    data = taxi.dataset(dataset)
    return [
        load.Load(
            url=data.url(month),
            table=table or data.table,
            slice=data.slice(month),
            title=data.slice(month),
            schema=data.schema,
            rule=NO_RULE if keep_zero_passengers else taxi.NO_ZERO_PASSENGERS,
            force=force,
            flow_run=run_id(),
        )
        for month in taxi.months_of(year, months, scheduled_start())
    ]
