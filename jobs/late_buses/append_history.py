"""The late buses become history: each observation once, however often it is appended."""

from collections.abc import Iterable
from dataclasses import dataclass

from jobs.late_buses import store
from jobs.late_buses.columns import KEY
from jobs.late_buses.late_csv import from_csv
from jobs.late_buses.store import Store
from longshore.backoff import Log
from longshore.errors import UsageError
from longshore.flows import blocks
from longshore.flows.steps import run_id
from longshore.report import Report

SINKS = ("bigquery", "postgres")


def check(sinks: Iterable[str]) -> None:
    """Raise UsageError for a sink that is none of SINKS."""
    for sink in sinks:
        if sink not in SINKS:
            raise UsageError(f"sinks are {' and '.join(SINKS)}, not {sink!r}.")


@dataclass(frozen=True)
class Append:
    """sink: one of SINKS. Raises UsageError for another."""

    sink: str
    dataset: str
    table: str
    location: str | None = None
    title: str = "late buses"
    slice: str = store.LATE

    def __post_init__(self) -> None:
        check([self.sink])

    @property
    def target(self) -> str:
        return f"{self.dataset}.{self.table}" if self.sink == "bigquery" else self.table


def run(append: Append, bucket: str, credentials: str, block: str, log: Log) -> Report:
    """Append late_buses.csv to the table; made where there is none."""
    place = Store.of(bucket)
    rows = from_csv(place.read(store.LATE, store.NO_LATE), place.uri(store.LATE))
    if append.sink == "postgres":
        from longshore.sinks.postgres import append as postgres  # each sink where it is needed: they import for long

        return postgres.run(postgres.Append(append.table, rows, KEY, append.title), blocks.engine(block), log)
    from longshore.sinks.bigquery import append as bigquery

    job = bigquery.Append(
        append.dataset, append.table, rows, KEY, "timestamp", append.title,
        cluster=("route_short_name",), location=append.location, bucket=place.bucket, flow_run=run_id(),
    )  # fmt: skip
    return bigquery.run(job, blocks.bigquery_client(credentials), log)
