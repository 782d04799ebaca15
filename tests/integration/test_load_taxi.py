"""Taxi months through the flow: every row arrives, once, and nothing else changes."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from jobs.web_to_postgres.flow import web_to_postgres
from longshore.report import Report
from standins.web.server import Fault, Site
from tests.conftest import Database


def run(**parameters: Any) -> list[Report]:
    state: Any = web_to_postgres(**{"year": 2021, "months": [1]} | parameters, return_state=True)
    assert state.is_completed(), state.message
    reports: list[Report] = state.result()
    return reports


def run_failing(**parameters: Any) -> str:
    state: Any = web_to_postgres(**{"year": 2021, "months": [1]} | parameters, return_state=True)
    assert state.is_failed()
    return str(state.message)


@pytest.mark.parametrize("color", ["yellow", "green"])
def test_every_row_of_a_month_arrives_but_those_with_0_passengers(
    color: str, taxi: Database, publish: Callable[..., Any]
) -> None:
    expected = publish(color)
    [report] = run(color=color)
    kept = expected.rows - expected.zero_passengers
    assert (report.rows_read, report.rows_loaded) == (expected.rows, kept)
    assert report.dropped == {"0 passengers": expected.zero_passengers}
    sql = f'SELECT count(*), count(*) FILTER (WHERE "VendorID" IS NULL) FROM {color}_taxi_trips'
    assert taxi.rows(sql) == [(kept, expected.blank_vendor)]
    again = run(color=color, keep_zero_passengers=True)
    assert again[0].rows_loaded == expected.rows
    sql = f'SELECT count(*), sum(round(total_amount * 100)::bigint), sum("PULocationID") FROM {color}_taxi_trips'
    assert taxi.rows(sql) == [(expected.rows, expected.total_cents, expected.zones)]


def test_a_real_sized_month_arrives_whole(taxi: Database, publish: Callable[..., Any]) -> None:
    expected = publish(rows=0)
    [report] = run(keep_zero_passengers=True)
    assert report.rows_loaded == expected.rows == 1_369_765
    sql = 'SELECT count(*), sum(round(total_amount * 100)::bigint), sum("PULocationID") FROM yellow_taxi_trips'
    assert taxi.rows(sql) == [(expected.rows, expected.total_cents, expected.zones)]


@pytest.mark.parametrize(
    "options",
    [
        {"late_float": "passenger_count", "late_float_at": 2_000},
        {"late_float": "PULocationID", "late_float_at": 0},
        {"trailing": 2},
        {"crlf": True},
        {"ending": "parquet"},
    ],
    ids=str,
)
def test_dirty_months_arrive_whole(
    options: dict[str, Any], taxi: Database, site: Site, publish: Callable[..., Any]
) -> None:
    expected = publish(**options)
    if options.get("ending") == "parquet":
        run(url=f"{site.url}/files/yellow_tripdata_2021-01.parquet", table="yellow_taxi_trips", months=None, year=None)
    else:
        run(keep_zero_passengers=True)
    sql = 'SELECT count(*), sum(round(total_amount * 100)::bigint), sum("PULocationID") FROM yellow_taxi_trips'
    assert taxi.rows(sql) == [(expected.rows, expected.total_cents, expected.zones)]


def test_a_second_run_says_unchanged_and_reads_nothing(taxi: Database, site: Site, publish: Callable[..., Any]) -> None:
    publish()
    run()
    before, ledger = taxi.contents("yellow_taxi_trips"), taxi.rows("SELECT * FROM load_ledger")
    [report] = run()
    assert report.status == "unchanged"
    assert taxi.contents("yellow_taxi_trips") == before
    assert taxi.rows("SELECT * FROM load_ledger") == ledger


def test_force_loads_identical_rows(taxi: Database, publish: Callable[..., Any]) -> None:
    publish()
    run()
    before = taxi.contents("yellow_taxi_trips")
    [report] = run(force=True)
    assert report.status == "loaded"
    assert taxi.contents("yellow_taxi_trips") == before


def test_a_changed_file_replaces_its_own_slice_only(taxi: Database, site: Site, publish: Callable[..., Any]) -> None:
    publish(month=1)
    publish(month=2)
    run(months=[1, 2])
    sql = (
        "SELECT t.* FROM yellow_taxi_trips t JOIN load_ledger l USING (slice_id) WHERE slice = :slice ORDER BY t::text"
    )
    first, second = taxi.rows(sql, slice="yellow 2021-01"), taxi.rows(sql, slice="yellow 2021-02")
    changed = publish(month=2, rows=2_000)
    reports = run(months=[1, 2])
    assert [report.status for report in reports] == ["unchanged", "loaded"]
    assert taxi.rows(sql, slice="yellow 2021-01") == first
    now = taxi.rows(sql, slice="yellow 2021-02")
    assert len(now) == changed.rows - changed.zero_passengers
    assert now != second


def test_the_same_file_under_another_date_is_loaded_again(
    taxi: Database, site: Site, publish: Callable[..., Any]
) -> None:
    publish()
    run()
    before = taxi.contents("yellow_taxi_trips")
    os.utime(site.root / "yellow_tripdata_2021-01.csv.gz", (1_700_000_000, 1_700_000_000))
    assert run()[0].status == "loaded"
    assert taxi.contents("yellow_taxi_trips") == before


def test_a_table_dropped_by_hand_is_loaded_again(taxi: Database, publish: Callable[..., Any]) -> None:
    expected = publish(month=1)
    publish(month=2)
    run(months=[1, 2])
    taxi.run("DROP TABLE yellow_taxi_trips")
    [report] = run()
    assert report.rows_loaded == expected.rows - expected.zero_passengers
    assert taxi.rows("SELECT slice FROM load_ledger") == [("yellow 2021-01",)]


def test_a_failing_month_does_not_stop_the_others_and_fails_the_run(
    taxi: Database, publish: Callable[..., Any]
) -> None:
    publish(month=1)
    publish(month=3)
    message = run_failing(months=[1, 2, 3])
    assert message.startswith("1 of 3 failed. yellow 2021-02: ")
    assert "yellow_tripdata_2021-02.csv.gz answered HTTP 404" in message
    assert taxi.rows("SELECT slice FROM load_ledger ORDER BY 1") == [("yellow 2021-01",), ("yellow 2021-03",)]


def test_a_transient_fault_is_retried_by_the_task_too(taxi: Database, site: Site, publish: Callable[..., Any]) -> None:
    expected = publish()
    path = "/nyc-tlc-data/releases/download/yellow/yellow_tripdata_2021-01.csv.gz"
    site.faults[path] = [Fault(times=8, status=503)]  # more than one attempt of the task retries
    [report] = run()
    assert report.rows_read == expected.rows
    assert [request.status for request in site.asked(path)] == [503] * 8 + [302]


def test_what_will_not_pass_is_not_retried(taxi: Database, site: Site) -> None:
    run_failing()
    assert len(site.requests) == 1


def test_the_run_writes_a_table_artifact(taxi: Database, publish: Callable[..., Any]) -> None:
    from prefect.artifacts import Artifact

    expected = publish()
    run()
    artifact: Any = Artifact.get("web-to-postgres")
    assert f'"rows read": "{expected.rows:,}"' in artifact.data
    run_failing(months=[7])
    artifact = Artifact.get("web-to-postgres")
    assert "answered HTTP 404" in artifact.data


def test_an_unknown_data_set_names_the_known_ones(taxi: Database) -> None:
    assert run_failing(color="blue") == "There are no 'blue' taxi trips. Known colors: green, yellow."
