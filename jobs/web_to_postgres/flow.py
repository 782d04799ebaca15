"""Web to Postgres: each file becomes one slice of a table, exactly once."""

from collections.abc import Sequence

from longshore.datasets import taxi
from longshore.errors import UsageError
from longshore.flows.blocks import engine
from longshore.flows.flow import flow
from longshore.flows.steps import load_step, renamed, run_all, run_id, scheduled_start
from longshore.formats.file import Format
from longshore.http import address
from longshore.report import Report
from longshore.rows.kept import NO_RULE
from longshore.schemas import declared_schema
from longshore.sinks.load import Load
from longshore.sinks.postgres.load import PostgresTable
from longshore.sources.web import WebFile

load_file = load_step("load-file")


@flow(name="web-to-postgres")
def web_to_postgres(
    color: str = "yellow",
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
    dataset: str | None = None,
) -> Sequence[Report]:
    """Load months of taxi trips, or any one file, into Postgres, exactly once.

    Args:
        color: Which taxi trips: yellow or green.
        year: The year of the months; alone, it means all twelve. Default with months: 2021.
        months: The months, 1 to 12. Without year and months: the month before the scheduled start.
        url: Instead of taxi trips: any http(s) address of a csv, json, jsonl or parquet file, gzipped or not.
        table: The table to load into, NAME or SCHEMA.NAME. Needed with url; taxi trips have a default.
        file_format: With url: the file's format, where its name does not tell.
        columns: With url: the file's columns and SQL types, {"id": "bigint"}. Inferred when left out.
        slice: With url: the file's name in the ledger, for an address that is never the same twice (a signed one).
        keep_zero_passengers: Load the trips with 0 passengers as well.
        force: Load again even if nothing has changed.
        connector: The SqlAlchemyConnector block of Postgres; WAREHOUSE_URL takes its place.
        dataset: The old name of color.
    """
    color = renamed("dataset", dataset, "color", color)
    if url:
        if year or months or keep_zero_passengers:
            raise UsageError("year, months and keep_zero_passengers go with taxi trips, not with url.")
        if not table:
            raise UsageError("url needs table: say which table to load the file into.")
        schema = declared_schema(columns) if columns else None
        sink = PostgresTable(engine(connector), table)
        file = WebFile(url, file_format)
        loads = [Load(file, sink, slice or address(url), schema=schema, force=force, flow_run=run_id())]
    elif columns or file_format or slice:
        raise UsageError("columns, file_format and slice go with url; taxi trips know their own.")
    else:
        trips, days = taxi.color(color), taxi.months_of(year, months, scheduled_start())
        sink = PostgresTable(engine(connector), table or trips.table)
        loads = [
            Load(
                source=WebFile(trips.url(month)),
                sink=sink,
                slice=trips.slice(month),
                title=trips.slice(month),
                schema=trips.schema,
                rule=NO_RULE if keep_zero_passengers else trips.rule,
                force=force,
                flow_run=run_id(),
            )
            for month in days
        ]
    return run_all("web-to-postgres", load_file, loads)
