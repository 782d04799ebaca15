"""What is loaded while faults come, and how each sink is counted afterwards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from scripts.docker import docker_says
from scripts.settings import UserError
from scripts.stack import container
from standins.google.clients import clients

Env = Mapping[str, str]
MONTH = {"year": 2021, "months": [1], "force": True}
LATE = "trip_id, start_date, stop_sequence, timestamp"


@dataclass(frozen=True)
class Load:
    """A deployment, its parameters, and how many rows its sink has of it, and how many different ones."""

    deployment: str
    parameters: dict[str, Any]
    count: Callable[[Env], tuple[int, int]]


def sql(env: Env, query: str) -> list[str]:
    """The first row that the warehouse answers."""
    psql = ("psql", "-AtXq", "-F", " ", "-U", "postgres", "-d", env["WAREHOUSE_DB"], "-c", query)
    return docker_says("exec", container(dict(env), "postgres"), *psql).split("\n")[0].split()


def _services(env: Env) -> Any:
    here = "http://127.0.0.1"
    return clients(f"{here}:{env['GCS_PORT']}", f"{here}:{env['BIGQUERY_PORT']}", env["GCP_PROJECT"] or "local")


def of_postgres(env: Env) -> tuple[int, int]:
    """Rows of the month, and rows by the ledger: they differ where one was lost or doubled."""
    month = "FROM load_ledger LEFT JOIN yellow_taxi_trips USING (slice_id) WHERE slice = 'yellow 2021-01'"
    found = sql(env, f"SELECT count(tpep_pickup_datetime), min(rows_loaded) {month}")
    return int(found[0]), int(found[1])


def of_bucket(env: Env) -> tuple[int, int]:
    """Rows of the object, and once more: an object is whole or not there."""
    blob = _services(env)[0].bucket(env["GCS_BUCKET"]).blob("data/yellow/yellow_tripdata_2021-01.parquet")
    rows = parquet.read_table(pa.BufferReader(blob.download_as_bytes()), columns=["VendorID"]).num_rows
    return rows, rows


def of_bigquery(env: Env) -> tuple[int, int]:
    """Rows of the month, and rows by the ledger."""
    query = (
        "SELECT (SELECT COUNT(*) FROM dezoomcamp.rides WHERE month = '2021-01-01'),"
        " (SELECT SUM(rows_loaded) FROM dezoomcamp.load_ledger WHERE slice LIKE '%2021-01%')"
    )
    (row,) = _services(env)[1].query(query).result(timeout=120)
    return int(row[0]), int(row[1])


def of_late_buses(env: Env) -> tuple[int, int]:
    """Observations that both histories have, and different ones: an append may never double one."""
    rows = sql(env, f"SELECT count(*), count(DISTINCT ({LATE})) FROM raw_late_buses")
    return int(rows[0]), int(rows[1])


LOADS = (
    Load("web-to-postgres/monthly", {"color": "yellow", **MONTH}, of_postgres),
    Load("web-to-gcs/monthly", {"color": "yellow", **MONTH}, of_bucket),
    Load("gcs-to-bigquery/monthly", {"color": "yellow", **MONTH}, of_bigquery),
    # Far from late enough for the page, so that there are always rows to append.
    Load("master-flow/master__flow", {"late_minutes": -1000, "sinks": ["postgres", "bigquery"]}, of_late_buses),
)
APPENDS = LOADS[3]


def staging_tables(env: Env) -> int:
    """Staging tables that are left in BigQuery."""
    bigquery = _services(env)[1]
    tables = [one.table_id for name in ("dezoomcamp", "bus_tracker") for one in bigquery.list_tables(name)]
    return sum(name.startswith("load_staging") for name in tables)


def need_demo(env: Env) -> None:
    """UserError where the stack does not run with the stand-ins: chaos is nothing for real websites and clouds."""
    if not container(dict(env), "sources") or not container(dict(env), "bigquery"):
        raise UserError("chaos needs a running stack with stand-ins: make up SOURCE=demo")
