"""The false answers that the published job gave, one test each: from the feed's bytes to late_buses.csv."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from jobs.late_buses import feed
from jobs.late_buses.columns import KEY
from jobs.late_buses.compare import Rule, late_buses
from jobs.late_buses.late_csv import from_csv, to_csv
from tests.unit import bus_tables
from tests.unit.bus_tables import bus, stop, timetable

MINUTE = timedelta(minutes=1)
TUESDAY = date(2026, 7, 21)
HALF_PAST_EIGHT = 8 * 3600 + 30 * 60


def shown(now: datetime, buses: list[dict[str, Any]], stops: list[dict[str, Any]]) -> dict[str, float]:
    """What the map shows at `now`: vehicle -> minutes late."""
    live = feed.positions(bus_tables.feed(*buses), "feed")
    late = from_csv(to_csv(late_buses(live, timetable(*stops), now, Rule()).late), "late_buses.csv")
    return dict(zip(late["vehicle"].to_pylist(), late["time_diff"].to_pylist(), strict=True))


def test_a_bus_twenty_minutes_late_in_summer_is_late() -> None:
    """Timetables are in local time, but were counted from midnight UTC. So in summer every bus seemed an hour less
    late than it was: one 20 minutes late was 40 minutes early.
    """
    seen = datetime(2026, 7, 21, 7, 50, tzinfo=UTC)  # 08:50 in London
    stops = [stop(arrival=HALF_PAST_EIGHT, service_days=[TUESDAY])]
    assert shown(seen, [bus(start_date_live=TUESDAY, timestamp=seen)], stops) == {"bus 1": 20}


@pytest.mark.parametrize(
    ("day", "seen"),
    [
        (date(2026, 3, 29), datetime(2026, 3, 29, 7, 50, tzinfo=UTC)),
        (date(2026, 10, 25), datetime(2026, 10, 25, 8, 50, tzinfo=UTC)),
    ],
)
def test_on_the_days_when_the_clocks_change_a_bus_is_as_late_as_the_clock_says(day: date, seen: datetime) -> None:
    """Counted from local midnight, every bus of these two days would be an hour wrong from the change on."""
    stops = [stop(arrival=HALF_PAST_EIGHT, service_days=[day])]
    assert shown(seen, [bus(start_date_live=day, timestamp=seen)], stops) == {"bus 1": 20}


@pytest.mark.parametrize("start", [TUESDAY, None])
def test_a_night_bus_that_started_yesterday_is_late_after_midnight(start: date | None) -> None:
    """A time such as 24:30:00 was added to the midnight of the day on which the bus was seen, not of that on which
    its trip started, so a night bus was a day early; and yesterday's trips were not in the timetable at all.
    """
    seen = datetime(2026, 7, 21, 23, 50, tzinfo=UTC)  # 00:50 on Wednesday in London
    stops = [stop(arrival=24 * 3600 + 30 * 60, service_days=[TUESDAY - timedelta(days=1), TUESDAY])]
    assert shown(seen, [bus(start_date_live=start, timestamp=seen)], stops) == {"bus 1": 20}


def test_each_run_goes_by_its_own_clock() -> None:
    """The clock was read when the module was imported: a process that lived on took old positions for fresh ones,
    and yesterday for today.
    """
    seen = datetime(2026, 1, 13, 8, 20, tzinfo=UTC)
    given = [bus(timestamp=seen)], [stop()]
    assert [len(shown(seen + age, *given)) for age in (MINUTE, timedelta(hours=1), timedelta(days=1))] == [1, 0, 0]
    assert [len(shown(seen + age, *given)) for age in (MINUTE, -MINUTE)] == [1, 0]


def test_a_trip_that_does_not_run_that_day_says_nothing() -> None:
    """Exceptions of the calendar were ignored: on a bank holiday, buses were held against the weekday's timetable."""
    seen = datetime(2026, 12, 25, 8, 20, tzinfo=UTC)
    christmas = date(2026, 12, 25)
    buses = [bus(start_date_live=christmas, timestamp=seen)]
    assert shown(seen, buses, [stop(service_days=[date(2026, 12, 24)])]) == {}
    assert shown(seen, buses, [stop(service_days=[date(2026, 12, 24), christmas])]) == {"bus 1": 20}


def test_an_empty_feed_is_a_csv_of_nothing_but_its_header() -> None:
    """A feed without buses, as at night, ended the run with an error."""
    live = feed.positions(bus_tables.feed(), "feed")
    data = to_csv(late_buses(live, timetable(stop()), bus_tables.DUE, Rule()).late)
    assert data.startswith(b'"trip_id","stop_sequence",')
    assert data.count(b"\n") == 1


def test_a_position_of_no_trip_is_not_held_against_a_timetable() -> None:
    """Positions with a blank trip went into the join, where a blank is like any other blank."""
    seen = bus_tables.DUE + 20 * MINUTE
    assert shown(seen, [bus(trip_id="", timestamp=seen)], [stop(trip_id="")]) == {}


def test_a_position_from_the_future_is_not_fresh() -> None:
    """A position was fresh unless too old, so a bus whose clock is wrong was late, by as much as its clock is fast."""
    now = bus_tables.DUE + 5 * MINUTE
    assert shown(now, [bus(timestamp=now + 60 * MINUTE)], [stop()]) == {}


def test_a_bus_is_where_it_was_last() -> None:
    """A vehicle that is in the feed twice was shown twice; now it goes by its latest position, which is on time."""
    now = bus_tables.DUE + 20 * MINUTE
    stops = [stop(), stop(stop_sequence=8, arrival=8 * 3600 + 18 * 60)]
    buses = [bus(timestamp=now - 5 * MINUTE), bus(timestamp=now, id="e2", current_stop=8)]
    assert shown(now, buses[:1], stops) == {"bus 1": 15}
    assert shown(now, buses, stops) == {}


def test_a_bus_that_has_gone_on_to_another_trip_is_on_that_one() -> None:
    """A vehicle that is in the feed twice was shown twice, on the trip before as well."""
    now = bus_tables.DUE + 20 * MINUTE
    buses = [bus(timestamp=now - 5 * MINUTE), bus(timestamp=now, id="e2", trip_id="U")]
    assert shown(now, buses, [stop(), stop(trip_id="U", arrival=8 * 3600 + 18 * 60)]) == {}
    assert shown(now, buses, [stop(), stop(trip_id="U", arrival=8 * 3600)]) == {"bus 1": 20}


def test_a_bus_of_another_operator_with_the_same_number_hides_none() -> None:
    """Numbers are an operator's own: of two buses with one number, both in the feed, the later hid the other."""
    now = bus_tables.DUE + 20 * MINUTE
    theirs = bus(timestamp=now, id="e2", trip_id="another operator's")
    assert shown(now, [bus(timestamp=now - 5 * MINUTE), theirs], [stop()]) == {"bus 1": 15}


def test_a_bus_kilometres_from_its_stop_is_marked() -> None:
    """A bus 9 km from the stop that it was said to come to, on another trip no doubt, was shown as very late."""
    now = bus_tables.DUE + 44 * MINUTE
    live = feed.positions(bus_tables.feed(bus(timestamp=now, latitude=53.881)), "feed")
    [row] = late_buses(live, timetable(stop()), now, Rule()).late.to_pylist()
    assert row["far"]
    assert 8_900 < row["distance_m"] < 9_100


@pytest.mark.parametrize("route", ["49", "007", "1e3", "", None])
def test_a_route_whose_name_looks_like_a_number_stays_text(route: str | None) -> None:
    """When all late buses were on routes such as 49, the names were read as numbers, joining them to a text failed,
    and the failure was shown as no late buses.
    """
    seen = bus_tables.DUE + 20 * MINUTE
    live = feed.positions(bus_tables.feed(bus(timestamp=seen)), "feed")
    late = late_buses(live, timetable(stop(route_short_name=route)), seen, Rule()).late
    assert from_csv(to_csv(late), "late_buses.csv")["route_short_name"].to_pylist() == [route]


def test_times_after_midnight_go_through_the_csv_as_they_are() -> None:
    """Times above 24 hours did not fit the history's type for times of day, and late at night it could not be kept."""
    seen = datetime(2026, 1, 14, 0, 50, tzinfo=UTC)
    live = feed.positions(bus_tables.feed(bus(timestamp=seen)), "feed")
    late = late_buses(live, timetable(stop(arrival=88_200, departure=88_230)), seen, Rule()).late
    [row] = from_csv(to_csv(late), "late_buses.csv").to_pylist()
    assert (row["arrival_time"], row["departure_time"]) == ("24:30:00", "24:30:30")
    assert row["arrival_time_fixed"] == datetime(2026, 1, 14, 0, 30, tzinfo=UTC)


def test_a_bus_seen_again_where_it_was_is_the_same_observation() -> None:
    """Every 30 seconds the same late buses were appended again, and nothing told one observation from another."""
    seen = bus_tables.DUE + 20 * MINUTE
    live = feed.positions(bus_tables.feed(bus(timestamp=seen)), "feed")
    runs = [late_buses(live, timetable(stop()), seen + n * timedelta(seconds=30), Rule()).late for n in range(3)]
    keys = [tuple(run.select(KEY).to_pylist()[0].values()) for run in runs]
    assert set(keys) == {("T", bus_tables.DAY, 7, seen)}
    assert len({run["observed_at"][0].as_py() for run in runs}) == 3
