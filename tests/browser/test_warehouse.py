"""The history's query on both warehouses."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from google.cloud import bigquery

from dashboards.late_buses import warehouse
from dashboards.late_buses.settings import Settings
from longshore.errors import LoadError
from tests.conftest import Cloud, Database

NOW = datetime(2026, 7, 3, 14, 10, tzinfo=UTC)
Rows = list[tuple[str, str, datetime, str | None, float, str]]
# trip, its service day, when it was seen, its route, minutes late, the time zone
SEEN: Rows = [
    ("A", "2026-07-03", datetime(2026, 7, 3, 13, 5, tzinfo=UTC), "2", 11.0, "Europe/London"),
    ("A", "2026-07-03", datetime(2026, 7, 3, 13, 6, tzinfo=UTC), "2", 12.5, "Europe/London"),
    ("A", "2026-07-03", datetime(2026, 7, 3, 14, 1, tzinfo=UTC), "2", 14.0, "Europe/London"),
    ("A", "2026-07-02", datetime(2026, 7, 3, 13, 7, tzinfo=UTC), "2", 40.0, "Europe/London"),
    ("B", "2026-07-03", datetime(2026, 7, 3, 13, 8, tzinfo=UTC), None, 10.5, "Europe/London"),
    ("C", "2026-07-03", datetime(2026, 7, 3, 13, 20, tzinfo=UTC), "9", 10.2, "Asia/Kolkata"),
    ("D", "2026-07-01", datetime(2026, 7, 1, 13, 9, tzinfo=UTC), "2", 99.0, "Europe/London"),
]
EXPECTED = [
    {"hour": datetime(2026, 7, 3, 12, 30, tzinfo=UTC), "route": "9", "buses": 1, "minutes": 10.2},
    {"hour": datetime(2026, 7, 3, 13, tzinfo=UTC), "route": "2", "buses": 2, "minutes": 40.0},
    {"hour": datetime(2026, 7, 3, 13, tzinfo=UTC), "route": "R1", "buses": 1, "minutes": 10.5},
    {"hour": datetime(2026, 7, 3, 14, tzinfo=UTC), "route": "2", "buses": 1, "minutes": 14.0},
]
COLUMNS = "trip_id, start_date, timestamp, route_short_name, time_diff, timezone, route_long_name, route_id"


@pytest.fixture
def of_postgres(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", database.url)
    values = ", ".join(_row(row) for row in SEEN)
    database.run(
        "CREATE TABLE raw_late_buses (trip_id text, start_date date, timestamp timestamptz, route_short_name text,"
        " time_diff double precision, timezone text, route_long_name text, route_id text)"
    )
    database.run(f"INSERT INTO raw_late_buses ({COLUMNS}) VALUES {values}")


@pytest.fixture
def of_bigquery(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("WAREHOUSE_URL", raising=False)
    cloud.bigquery.create_dataset(bigquery.Dataset(f"{cloud.bigquery.project}.{cloud.dataset}"))
    values = ", ".join(_row(row) for row in SEEN)
    cloud.rows(
        "CREATE TABLE raw_late_buses (trip_id STRING, start_date DATE, timestamp TIMESTAMP, route_short_name STRING,"
        " time_diff FLOAT64, timezone STRING, route_long_name STRING, route_id STRING, observation_day DATE)"
    )
    cloud.rows(f"INSERT INTO raw_late_buses ({COLUMNS}) VALUES {values}")
    cloud.rows("UPDATE raw_late_buses SET observation_day = DATE(timestamp) WHERE TRUE")
    return cloud.dataset


def _row(row: tuple[str, str, datetime, str | None, float, str]) -> str:
    trip, day, moment, route, late, zone = row
    name = f"'{route}'" if route else "NULL"
    return f"('{trip}', DATE '{day}', TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S}+00', {name}, {late}, '{zone}', NULL, 'R1')"


def asked(dataset: str = "bus_tracker", days: int = 1) -> pa.Table:
    return warehouse.history(Settings("x", dataset=dataset), NOW, timedelta(days=days))


def test_counts_a_trip_once_an_hour_of_its_own_clock(of_postgres: None) -> None:
    assert asked().to_pylist() == EXPECTED
    assert asked(days=7).num_rows == len(EXPECTED) + 1


def test_bigquery_says_the_same(of_bigquery: str) -> None:
    """But for a clock that strikes at half past: the emulator has no time zones for hours."""
    assert [row for row in asked(of_bigquery).to_pylist() if row["route"] != "9"] == EXPECTED[1:]


@pytest.mark.parametrize("chosen", ["bigquery", "postgres"])
def test_of_two_warehouses_the_one_of_the_setting_is_asked(
    of_bigquery: str, database: Database, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", database.url)
    settings = Settings.of({"LATE_BUSES": "x", "MAP_DATASET": of_bigquery, "MAP_WAREHOUSE": chosen})
    if chosen == "bigquery":
        assert warehouse.history(settings, NOW, timedelta(days=1)).num_rows
    else:
        with pytest.raises(LoadError, match="raw_late_buses cannot be read"):
            warehouse.history(settings, NOW, timedelta(days=1))
    with pytest.raises(LoadError, match="MAP_WAREHOUSE is 'duckdb'"):
        Settings.of({"LATE_BUSES": "x", "MAP_WAREHOUSE": "duckdb"})


def test_a_missing_bigquery_table_is_an_error(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAREHOUSE_URL", raising=False)
    with pytest.raises(LoadError, match=r"raw_late_buses is not there.*Run the job late-buses"):
        asked(cloud.dataset)


def test_the_page_cannot_change_the_warehouse(of_postgres: None, database: Database) -> None:
    url = warehouse.postgres_url({"WAREHOUSE_URL": database.url})
    assert url
    with warehouse.engine(url).connect() as connection:
        assert connection.exec_driver_sql("SHOW transaction_read_only").scalar() == "on"


def test_a_password_may_have_any_character() -> None:
    parts = {"HOST": "postgres", "USER": "warehouse", "PASSWORD": "p@ss/w:rd", "DB": "warehouse"}
    url = warehouse.postgres_url({f"WAREHOUSE_{name}": value for name, value in parts.items()})
    assert url
    assert (url.host, url.password, url.database) == ("postgres", "p@ss/w:rd", "warehouse")


def test_a_url_that_is_none_does_not_show_its_password() -> None:
    with pytest.raises(LoadError, match="WAREHOUSE_URL is no database URL") as wrong:
        warehouse.postgres_url({"WAREHOUSE_URL": "postgres:hidden@nowhere:x"})
    assert "hidden" not in str(wrong.value)
