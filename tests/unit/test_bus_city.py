"""The city of buses is the same for a seed, runs as its timetable says, and its late buses are known."""

import csv
import io
import zipfile
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from math import cos, hypot, radians

import pytest
from google.transit.gtfs_realtime_pb2 import FeedMessage

from standins.buses import gtfs, realtime
from standins.buses.bus import CORNER, IN_TRANSIT_TO, LATE_SHARE, OUTSIDE, STOPPED_AT, Position, delay
from standins.buses.city import AGENCIES, AGENCY, BOX, EXTRA, NIGHT, TRIPS, WEEKDAYS, City, day_start, runs
from standins.buses.simulation import inside, late, positions, snapped

CITY = City()
LARGE = City(vehicles=500)
WEDNESDAY = datetime(2026, 7, 15, 16, 30, tzinfo=UTC)
DAY = date(2026, 7, 15)
PINNED = [  # trip, stop, minutes at that time
    ("VJ010004810", 14, 39.05),
    ("VJ010000610", 13, 32.95),
    ("VJ010000311", 5, 15.87),
    ("VJ010006511", 3, 12.7),
    ("VJ010002011", 13, 12.38),
    ("VJ010007011", 9, 12.02),
    ("VJ010002811", 5, 11.52),
    ("VJ010001511", 9, 11.37),
    ("VJ010002916", 6, 11.22),
]


def table(archive: zipfile.ZipFile, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(archive.read(f"{name}.txt").decode(), newline="")))


@pytest.fixture(scope="module")
def archive() -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(gtfs.packed(CITY, DAY)))


def metres(bus: Position, latitude: float, longitude: float) -> float:
    """On a plane: near enough within a city."""
    return 111_195 * hypot(bus.latitude - latitude, (bus.longitude - longitude) * cos(radians(latitude)))


def test_late_buses_are_the_same_on_every_machine() -> None:
    assert _late(CITY) == _late(City()) == PINNED
    assert _late(City(seed=2)) != PINNED


def test_a_known_share_of_trips_is_late() -> None:
    delays = [delay(LARGE, trip.id, DAY) for trip in LARGE.trips()]
    assert sum(seconds > 600 for seconds in delays) / len(delays) == pytest.approx(LATE_SHARE, abs=0.01)
    assert 0 == min(delays) < 600 < 2690 < max(delays) < 2700


def test_late_is_more_than_ten_minutes_and_the_position_no_older_than_thirty() -> None:
    bus = replace(_plain(), status=IN_TRANSIT_TO)
    due = bus.scheduled
    for behind, found in ((600, False), (601, True)):
        moved = replace(bus, timestamp=due + timedelta(seconds=behind))
        assert bool(late([moved], moved.timestamp)) is found
    moved = replace(bus, timestamp=due + timedelta(minutes=20))
    ages = {-1: False, 0: True, 1800: True, 1801: False}
    assert {age: bool(late([moved], moved.timestamp + timedelta(seconds=age))) for age in ages} == ages
    # What the timetable does not know is not late, however far behind.
    for unknown in ({"status": STOPPED_AT}, {"trip_id": ""}, {"stop": None}, {"running": False}, {"older": True}):
        assert not late([replace(moved, **unknown)], moved.timestamp)


def test_each_bus_is_once_in_the_feed_and_goes_forward_along_its_route() -> None:
    before = {bus.id: bus for bus in positions(LARGE, WEDNESDAY)}
    after = {bus.id: bus for bus in positions(LARGE, WEDNESDAY + timedelta(minutes=2))}
    now = [bus.vehicle for bus in before.values() if not bus.older]
    assert len(now) == len(set(now)) == pytest.approx(LARGE.vehicles, rel=0.05)
    both = [(before[id], after[id]) for id in before.keys() & after.keys()]
    assert len(both) > 400
    for bus, later in both:
        assert bus.timestamp <= later.timestamp
        assert (bus.stop is None and later.stop is None) or (bus.stop or 0) <= (later.stop or 0)
    assert sum((bus.stop or 0) < (later.stop or 0) for bus, later in both) > 200


def test_a_bus_is_at_its_stop_or_on_the_way_to_it_unless_it_is_marked() -> None:
    for bus in positions(LARGE, WEDNESDAY):
        stop = bus.trip.line.stops[bus.stop or 0]
        away = metres(bus, stop.latitude, stop.longitude)
        if bus.far:
            assert away > 3_000
        elif bus.stop is not None:
            assert away < (1 if bus.status == STOPPED_AT else 1_500)


def test_everything_odd_happens() -> None:
    found = Counter[str]()
    for minutes in range(0, 600, 60):
        now = WEDNESDAY + timedelta(minutes=minutes)
        for bus in positions(LARGE, now):
            found["silent"] += now - bus.timestamp > timedelta(minutes=30)
            found["ahead"] += bus.timestamp > now
            found["far"] += (bus.latitude, bus.longitude) == CORNER
            found["outside"] += (bus.latitude, bus.longitude) == OUTSIDE
            found["older"] += bus.older
            found["no trip"] += not bus.trip_id
            found["unknown"] += bus.trip_id not in ("", bus.trip.id)
            found["no stop"] += bus.stop is None
            found["no day"] += bus.start_date is None
            found["other agency"] += bus.trip.line.agency != AGENCY
            found["after midnight"] += bus.trip.start > 86_400
            found["far and late"] += any(one.far for one in late([bus], now))
    assert min(found.values()) >= 3, found


def test_a_holiday_takes_the_weekday_service_off_and_some_of_its_buses_are_sent_all_the_same() -> None:
    tuesday = date(2026, 7, 14)
    assert [runs(WEEKDAYS, day) for day in (tuesday, DAY)] == [False, True]
    assert [runs(EXTRA, day) for day in (tuesday, DAY)] == [True, False]
    found = positions(LARGE, datetime(2026, 7, 14, 12, tzinfo=UTC))
    cancelled = [bus for bus in found if not bus.running]
    assert 0 < len(cancelled) < len(found) / 10
    assert {bus.trip.service for bus in cancelled} == {WEEKDAYS}
    assert all(bus.start_date for bus in cancelled)


@pytest.mark.parametrize(
    ("day", "start"),
    [
        (date(2026, 1, 15), datetime(2026, 1, 15, tzinfo=UTC)),
        (date(2026, 7, 15), datetime(2026, 7, 14, 23, tzinfo=UTC)),
        (date(2026, 3, 29), datetime(2026, 3, 28, 23, tzinfo=UTC)),  # one hour before midnight by the clock
        (date(2026, 10, 25), datetime(2026, 10, 25, tzinfo=UTC)),  # one hour after it
    ],
)
def test_service_days_start_twelve_hours_before_noon(day: date, start: datetime) -> None:
    assert day_start(day) == start


def test_in_the_night_of_the_clock_change_buses_of_two_service_days_run() -> None:
    # 00:10 of 29 March is 23:10 UTC of the 28th, which is 23:10 in London.
    found = {bus.day for bus in positions(LARGE, datetime(2026, 3, 28, 23, 40, tzinfo=UTC))}
    assert found == {date(2026, 3, 28), date(2026, 3, 29)}
    assert NIGHT < 3600


def test_positions_are_refreshed_every_ten_seconds() -> None:
    seconds = [WEDNESDAY + timedelta(seconds=n) for n in (0, 9, 9.999, 10)]
    feeds = [realtime.feed(CITY, now) for now in seconds]
    assert feeds[0] == feeds[1] == feeds[2] != feeds[3]
    message = FeedMessage.FromString(feeds[3])
    assert message.header.timestamp == int(snapped(seconds[3]).timestamp()) == int(WEDNESDAY.timestamp()) + 10


def test_feed_says_what_the_positions_are() -> None:
    found = positions(CITY, WEDNESDAY)
    message = FeedMessage.FromString(realtime.message(found, WEDNESDAY))
    for bus, entity in zip(found, message.entity, strict=True):
        sent = entity.vehicle
        assert (sent.trip.trip_id, sent.vehicle.id, sent.current_status) == (bus.trip_id, bus.vehicle, bus.status)
        assert sent.timestamp == bus.timestamp.timestamp()
        assert sent.HasField("current_stop_sequence") == (bus.stop is not None)
        assert sent.trip.start_date == (f"{bus.start_date:%Y%m%d}" if bus.start_date else "")
        assert (sent.position.latitude, sent.position.longitude) == pytest.approx((bus.latitude, bus.longitude))


def test_the_box_is_latitudes_then_longitudes() -> None:
    found = positions(LARGE, WEDNESDAY)
    south, north, west, east = BOX
    outside = [bus for bus in found if bus not in inside(found)]
    assert outside
    assert {(bus.latitude, bus.longitude) for bus in outside} == {OUTSIDE}
    assert not inside(found, (west, east, south, north))
    assert not inside(found, (south, west, north, east))


def test_timetable_is_the_same_bytes_for_a_day() -> None:
    assert gtfs.packed(CITY, DAY) == gtfs.packed(City(), DAY)
    assert gtfs.packed(CITY, DAY) != gtfs.packed(CITY, DAY + timedelta(days=1))


def test_what_the_timetable_refers_to_is_there(archive: zipfile.ZipFile) -> None:
    assert archive.testzip() is None
    agencies = table(archive, "agency")
    assert {a["agency_id"]: a["agency_name"] for a in agencies} == AGENCIES
    assert {a["agency_timezone"] for a in agencies} == {"Europe/London"}
    routes, stops, trips = table(archive, "routes"), table(archive, "stops"), table(archive, "trips")
    services = {row["service_id"] for name in ("calendar", "calendar_dates") for row in table(archive, name)}
    assert {r["agency_id"] for r in routes} == set(AGENCIES)
    assert {t["route_id"] for t in trips} == {r["route_id"] for r in routes}
    assert {t["service_id"] for t in trips} == services
    assert {t["shape_id"] for t in trips} == {s["shape_id"] for s in table(archive, "shapes")}
    assert len({t["trip_id"] for t in trips}) == len(trips) == CITY.blocks * TRIPS
    times = table(archive, "stop_times")
    assert {t["trip_id"] for t in times} == {t["trip_id"] for t in trips}
    assert {t["stop_id"] for t in times} == {s["stop_id"] for s in stops}
    assert max(t["arrival_time"] for t in times) > "26:00:00"
    assert all(t["arrival_time"] <= t["departure_time"] for t in times)
    south, north, west, east = BOX
    assert all(south < float(s["stop_lat"]) < north and west < float(s["stop_lon"]) < east for s in stops)
    assert '<b>Park</b> & "Oakwood"' in " ".join(t["trip_headsign"] for t in trips)
    assert {"72", "X84"} <= {r["route_short_name"] for r in routes}


def test_calendar_and_its_exceptions_say_when_services_run(archive: zipfile.ZipFile) -> None:
    exceptions = {(row["service_id"], row["date"]): row["exception_type"] for row in table(archive, "calendar_dates")}
    weeks = {row["service_id"]: row for row in table(archive, "calendar")}
    services = {trip["service_id"] for trip in table(archive, "trips")}
    for day in (DAY + timedelta(days=n) for n in range(-2, 60)):
        text, weekday = f"{day:%Y%m%d}", f"{day:%A}".lower()
        for service in services:
            week = weeks.get(service)
            usual = week is not None and week["start_date"] <= text <= week["end_date"] and week[weekday] == "1"
            said = {"1": True, "2": False}.get(exceptions.get((service, text), ""), usual)
            assert said == runs(service, day), (service, day)


def test_the_size_of_a_large_city_is_a_parameter() -> None:
    city = City(vehicles=2_000)
    now = datetime(2026, 7, 15, 11, tzinfo=UTC)
    ours = sum(trip.line.agency == AGENCY for trip in city.trips())
    assert 25 * ours == pytest.approx(1_000_000, rel=0.05)
    assert len({bus.vehicle for bus in positions(city, now)}) == pytest.approx(2_000, rel=0.05)


def _late(city: City) -> list[tuple[str, int, float]]:
    buses = late(positions(city, WEDNESDAY), WEDNESDAY)
    return [(bus.trip_id, bus.stop_sequence, round(bus.minutes, 2)) for bus in buses]


def _plain() -> Position:
    """A bus of First Leeds about which nothing is odd."""
    ours = [bus for bus in positions(CITY, WEDNESDAY) if bus.trip.line.agency == AGENCY and not (bus.older or bus.far)]
    return next(bus for bus in ours if bus.stop and bus.start_date and bus.trip_id == bus.trip.id)
