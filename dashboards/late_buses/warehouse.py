"""The history of late buses: how many an hour and route, of Postgres or of BigQuery."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from google.cloud import bigquery
from sqlalchemy import URL, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, ProgrammingError

from dashboards.cloud import bigquery_client, explained
from dashboards.late_buses.settings import Settings
from longshore.errors import LoadError

HISTORY = pa.schema(
    {"hour": pa.timestamp("us", "UTC"), "route": pa.string(), "buses": pa.int64(), "minutes": pa.float64()}
)
"""One row an hour and route. hour: the hour's start, as the clocks at the place strike it. buses: late at any time of
it, each trip counted once. minutes: the most that one was late.
"""
GOOGLE = ("GCP_PROJECT", "BIGQUERY_EMULATOR_HOST", "GCP_KEY_FILE")  # one of them says that BigQuery is meant
SECONDS = 30
DRIVER = "postgresql+psycopg2"
ADVICE = "Run the job late-buses, which makes it once a bus is late, or correct MAP_TABLE."
# Both know these words. A time zone is a column: one table may hold the buses of several.
SQL = """
SELECT {hour} AS hour, coalesce(route_short_name, route_long_name, route_id, '?') AS route,
  count(DISTINCT concat(trip_id, ' ', CAST(start_date AS {text}))) AS buses, max(time_diff) AS minutes
FROM {table} WHERE {when} GROUP BY 1, 2 ORDER BY 1, 2
"""


def history(settings: Settings, now: datetime, period: timedelta) -> pa.Table:
    """The table HISTORY for the period up to now, of the warehouse that is set. Raises LoadError."""
    since = (now - period).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if settings.warehouse != "bigquery" and (url := postgres_url(os.environ)):
        return of_postgres(url, settings.table, since, now)
    if settings.warehouse == "bigquery" or (not settings.warehouse and any(map(os.environ.get, GOOGLE))):
        return of_bigquery(f"{settings.dataset}.{settings.table}", since, now)
    raise LoadError(
        "No warehouse is set. Set WAREHOUSE_URL=postgresql://USER:PASSWORD@HOST/DATABASE for Postgres, or GCP_PROJECT"
        " for BigQuery."
    )


def postgres_url(env: Mapping[str, str]) -> URL | None:
    """WAREHOUSE_URL, or WAREHOUSE_HOST and what belongs to it; None where neither is set."""
    if given := env.get("WAREHOUSE_URL"):
        try:
            return make_url(given).set(drivername=DRIVER)
        except (ArgumentError, ValueError):  # their words may hold parts of the password
            raise LoadError("WAREHOUSE_URL is no database URL: postgresql://USER:PASSWORD@HOST/DATABASE.") from None
    host, user, password, name = (env.get(f"WAREHOUSE_{part}") for part in ("HOST", "USER", "PASSWORD", "DB"))
    return URL.create(DRIVER, user, password, host, database=name) if host else None


def of_postgres(url: URL, table: str, since: datetime, until: datetime) -> pa.Table:
    """Of a Postgres table. Nothing can be changed over this connection."""
    reader = engine(url)
    quoted = ".".join(reader.dialect.identifier_preparer.quote_identifier(part) for part in table.split("."))
    hour = "date_trunc('hour', timestamp, timezone)"
    sql = SQL.format(hour=hour, text="text", table=quoted, when="timestamp BETWEEN :since AND :until")
    try:
        with reader.connect() as connection:
            found = connection.execute(text(sql), {"since": since, "until": until})
            return _table([dict(row) for row in found.mappings()])
    except ProgrammingError as error:
        raise LoadError(f"The table {table} cannot be read: {_first_line(error)}. {ADVICE}") from error
    except DBAPIError as error:
        where = f"{url.host or 'local'}/{url.database}"
        raise LoadError(f"Postgres at {where}: {_first_line(error)}. Is it running?", retryable=True) from error


def of_bigquery(table: str, since: datetime, until: datetime) -> pa.Table:
    """Of a BigQuery table, of which the days since then are read."""
    hour = "TIMESTAMP_TRUNC(timestamp, HOUR, timezone)"
    # The partitions first: a day of history is read, and paid for, not all of it.
    when = "observation_day >= DATE(@since) AND timestamp BETWEEN @since AND @until"
    quoted = f"`{table.replace('`', '')}`"
    sql = SQL.format(hour=hour, text="STRING", table=quoted, when=when)
    moments = {"since": since, "until": until}
    parameters = [bigquery.ScalarQueryParameter(name, "TIMESTAMP", moment) for name, moment in moments.items()]
    with explained(f"The table {table}", ADVICE):
        job = bigquery_client().query(sql, bigquery.QueryJobConfig(query_parameters=parameters), timeout=SECONDS)
        return _table([dict(row.items()) for row in job.result(timeout=SECONDS)])


def engine(url: URL) -> Engine:
    """An engine that can only read."""
    options = f"-c default_transaction_read_only=on -c statement_timeout={SECONDS}s"
    arguments = {"connect_timeout": 10, "application_name": "longshore map", "options": options}
    return create_engine(url, connect_args=arguments, poolclass=NullPool)


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, HISTORY)


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().split("\n")[0]
