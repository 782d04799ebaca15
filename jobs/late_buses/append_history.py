"""The late buses become history: each observation once, however often it is appended."""

from dataclasses import dataclass

from jobs.common import cloud
from jobs.common.backoff import Log
from jobs.common.bigquery import append as bigquery
from jobs.common.errors import LoadError
from jobs.common.postgres import append as postgres
from jobs.common.postgres import warehouse
from jobs.common.report import Report
from jobs.common.steps import run_id
from jobs.late_buses import store
from jobs.late_buses.columns import KEY
from jobs.late_buses.late_csv import from_csv
from jobs.late_buses.store import Store

SINKS = ("bigquery", "postgres")


@dataclass(frozen=True)
class Append:
    """sink: one of SINKS. Raises LoadError for another."""

    sink: str
    dataset: str
    table: str
    location: str | None = None
    title: str = "late buses"
    slice: str = store.LATE

    def __post_init__(self) -> None:
        if self.sink not in SINKS:
            raise LoadError(f"sinks are {' and '.join(SINKS)}, not {self.sink!r}.")

    @property
    def target(self) -> str:
        return f"{self.dataset}.{self.table}" if self.sink == "bigquery" else self.table


def run(append: Append, bucket: str, credentials: str, block: str, log: Log) -> Report:
    """Append late_buses.csv to the table; made where there is none."""
    place = Store.of(bucket)
    rows = from_csv(place.read(store.LATE, store.NO_LATE), place.uri(store.LATE))
    if append.sink == "postgres":
        return postgres.run(postgres.Append(append.table, rows, KEY, append.title), warehouse.engine(block), log)
    job = bigquery.Append(
        append.dataset, append.table, rows, KEY, "timestamp", append.title,
        cluster=("route_short_name",), location=append.location, bucket=place.bucket, flow_run=run_id(),
    )  # fmt: skip
    return bigquery.run(job, cloud.bigquery_client(credentials), log)
