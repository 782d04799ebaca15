"""The flows of the late buses, against the stand-in of the bus service, the emulators and a real Postgres."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from jobs.late_buses import store
from jobs.late_buses.flow import compare_bus_times, get_bus_timetables, get_live_bus_locations, master_flow
from jobs.late_buses.late_csv import from_csv
from longshore.flows import steps
from scripts.settings import ROOT
from standins.buses.server import TIMETABLE, BusSite
from standins.buses.simulation import inside, late, positions
from standins.web.faults import Fault
from tests.conftest import Cloud, Database

MORNING = datetime(2026, 2, 4, 8, 40, tzinfo=UTC)
HISTORY = "SELECT trip_id, start_date, stop_sequence, timestamp FROM raw_late_buses"


@pytest.fixture
def history(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Where the flow keeps the history."""
    monkeypatch.setenv("WAREHOUSE_URL", database.url)
    return database


def look(at: datetime = MORNING, **parameters: Any) -> Any:
    """One look at the buses, by the clock `at`; the flow's final state."""
    return master_flow(now=at, **{"sinks": ["postgres"], **parameters}, return_state=True)


def ran(flow: Any, **parameters: Any) -> Any:
    """The final state of a run of a flow."""
    return flow(**parameters, return_state=True)


def truth(site: BusSite, at: datetime = MORNING) -> set[tuple[Any, ...]]:
    """The late buses of the city."""
    found = late(inside(positions(site.city, at)), at)
    return {(one.trip_id, one.start_date, one.stop_sequence, one.timestamp) for one in found}


def listed(cloud: Cloud) -> pa.Table:
    """What late_buses.csv says."""
    return from_csv(cloud.bucket.blob(store.LATE).download_as_bytes(), store.LATE)


def keys(table: pa.Table) -> set[tuple[Any, ...]]:
    rows = table.select(["trip_id", "start_date", "stop_sequence", "timestamp"]).to_pylist()
    return {tuple(row.values()) for row in rows}


def test_a_look_lists_the_late_buses_and_keeps_them(buses: BusSite, cloud: Cloud, history: Database) -> None:
    assert len(truth(buses)) > 3
    state = look(sinks=["postgres", "bigquery"], dataset=cloud.dataset)
    assert state.is_completed(), state.message
    assert keys(listed(cloud)) == truth(buses)
    assert set(history.rows(HISTORY)) == truth(buses)
    assert set(cloud.rows(HISTORY)) == truth(buses)
    days = cloud.rows("SELECT DISTINCT observation_day FROM raw_late_buses")
    assert days == [(MORNING.date(),)]
    kept = parquet.read_table(pa.BufferReader(cloud.objects()["live_location/day=2026-02-04/084000.parquet"]))
    assert kept.equals(parquet.read_table(pa.BufferReader(cloud.objects()[store.LIVE])))


def test_the_timetable_is_fetched_once_a_day_and_not_with_each_look(
    buses: BusSite, cloud: Cloud, history: Database
) -> None:
    assert len(look().result()) == 4
    assert len(look().result()) == 3
    assert len(buses.asked(TIMETABLE)) == 1
    tomorrow = MORNING + timedelta(days=2)
    buses.clock = lambda: tomorrow
    assert look(tomorrow).is_completed()
    assert len(buses.asked(TIMETABLE)) == 2


def test_the_same_positions_are_one_observation_and_new_ones_another(
    buses: BusSite, cloud: Cloud, history: Database
) -> None:
    for _ in range(2):
        assert look().is_completed()
    assert set(history.rows(HISTORY)) == truth(buses)
    assert len(history.rows(HISTORY)) == len(truth(buses))
    later = MORNING + timedelta(seconds=30)
    buses.clock = lambda: later
    assert look(later).is_completed()
    both = truth(buses) | truth(buses, later)
    assert len(history.rows(HISTORY)) == len(both) > len(truth(buses))
    assert set(history.rows(HISTORY)) == both


def test_when_no_bus_is_late_the_list_is_a_header_and_the_history_is_left_alone(
    buses: BusSite, cloud: Cloud, history: Database
) -> None:
    state = look(late_minutes=600)
    assert state.is_completed(), state.message
    assert cloud.objects()[store.LATE].startswith(b'"trip_id","stop_sequence",')
    assert listed(cloud).num_rows == 0
    assert history.rows("SELECT 1 FROM pg_tables WHERE tablename = 'raw_late_buses'") == []


def test_night_buses_of_yesterdays_service_day_are_kept_in_bigquery(buses: BusSite, cloud: Cloud) -> None:
    """Times above 24 hours did not fit the history's type, so late at night nothing could be kept."""
    night = datetime(2026, 2, 5, 1, 10, tzinfo=UTC)
    buses.clock = lambda: night
    state = look(night, sinks=["bigquery"], dataset=cloud.dataset)
    assert state.is_completed(), state.message
    found = cloud.rows("SELECT start_date, arrival_time FROM raw_late_buses WHERE arrival_time >= '24:00:00'")
    assert {day for day, _ in found} == {MORNING.date()}
    assert set(cloud.rows(HISTORY)) == truth(buses, night)


def test_without_a_time_each_run_takes_the_clock_as_it_is_then(
    buses: BusSite, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock was read when the module was imported, so a process that lived on compared with an old one."""

    class Clock(datetime):
        shown = MORNING

        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return cls.shown

    monkeypatch.setattr(steps, "datetime", Clock)
    assert ran(get_bus_timetables).is_completed()
    assert ran(get_live_bus_locations).is_completed()
    assert ran(compare_bus_times).is_completed()
    assert keys(listed(cloud)) == truth(buses)
    Clock.shown = MORNING + timedelta(minutes=45)  # what was fresh is not any more
    assert ran(compare_bus_times).is_completed()
    assert listed(cloud).num_rows == 0


def test_a_feed_without_buses_is_a_normal_run(buses: BusSite, cloud: Cloud, history: Database) -> None:
    sea = {"min_lat": 0.0, "max_lat": 1.0, "min_long": 0.0, "max_long": 1.0}
    state = look(area=sea)
    assert state.is_completed(), state.message
    assert listed(cloud).num_rows == 0


def test_a_timetable_whose_zip_has_not_changed_is_not_read_again(buses: BusSite, cloud: Cloud) -> None:
    buses.faults[TIMETABLE] = [Fault(etag='"1"', times=None)]
    for status in ("loaded", "unchanged"):
        state = ran(get_bus_timetables, now=MORNING)
        assert [report.status for report in state.result()] == [status]


def test_a_hundred_looks_at_a_feed_that_fails_at_random_lose_and_double_nothing(
    cloud: Cloud, history: Database
) -> None:
    soak = [sys.executable, "-m", "tests.integration.bus_soak", "100"]
    done = subprocess.run(soak, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    looks = [json.loads(line) for line in done.stdout.splitlines()]
    completed = {"none": True, "retryable": True, "lasting": False}
    assert [look["completed"] for look in looks] == [completed[look["feed"]] for look in looks], done.stdout
    assert len({look["feed"] for look in looks}) == 3
    told = [tuple(key) for look in looks if look["completed"] for key in look["late"]]
    seen = set(told)
    assert len(told) > len(seen) + 50
    kept = history.rows(
        "SELECT trip_id, start_date::text, stop_sequence::text, to_char(timestamp AT TIME ZONE 'UTC',"
        " 'YYYY-MM-DD\"T\"HH24:MI:SS+00:00') FROM raw_late_buses"
    )
    assert len(kept) == len(seen) > 50
    assert set(kept) == seen
    memory = [look["mib"] for look in looks]
    assert max(memory[50:]) < 1.1 * max(memory[:50])
