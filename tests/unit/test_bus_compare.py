"""Which buses are late: the rule against one written in plain Python, its edges, and late_buses.csv."""

from collections import Counter
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.late_buses.columns import KEY, LATE, LIVE, TIMETABLE
from jobs.late_buses.compare import Compared, Rule, late_buses
from jobs.late_buses.late_csv import from_csv, to_csv
from longshore.errors import LoadError
from tests.unit.bus_tables import DAY, DUE, bus, live, stop, timetable

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
CHANGES = {  # the days on which the clocks change, and one in winter and summer
    "Europe/London": [date(2026, 3, 29), date(2026, 10, 25), date(2026, 1, 13), date(2026, 7, 21)],
    "America/New_York": [date(2026, 3, 8), date(2026, 11, 1), date(2026, 1, 13), date(2026, 7, 21)],
}


def due(day: date, seconds: int, zone: str) -> datetime:
    """By the clock of the Unix epoch, which knows no zones: noon there, twelve hours less, and the seconds."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone)).timestamp()
    return datetime.fromtimestamp(noon - 12 * 3600 + seconds, UTC)


def verdict(bus: dict[str, Any], stops: list[dict[str, Any]], zone: str, now: datetime) -> tuple[str, Any]:
    """What becomes of a bus, and if it is late its service day, when it was due and the minutes."""
    trip = [stop for stop in stops if stop["trip_id"] == bus["trip_id"]]
    at = [stop for stop in trip if stop["stop_sequence"] == bus["current_stop"]]
    if not trip:
        return "no_such_trip", None
    if bus["current_stop"] is None:
        return "no_next_stop", None
    if not at:
        return "no_such_stop", None
    [stop] = at
    if stop["arrival"] is None:
        return "no_arrival_time", None
    said = bus["start_date_live"]
    runs = {day: due(day, stop["arrival"], zone) for day in sorted(stop["service_days"]) if said in (None, day)}
    if said is None:
        runs = {day: at for day, at in runs.items() if abs(bus["timestamp"] - at) <= timedelta(hours=12)}
    if not runs:
        return "not_running_that_day", None
    day = min(runs, key=lambda day: abs(bus["timestamp"] - runs[day]))
    if bus["timestamp"] > now:
        return "in_future", None
    if now - bus["timestamp"] > 30 * MINUTE:
        return "stale", None
    if bus["current_status"] == 1:
        return "stopped", None
    behind = bus["timestamp"] - runs[day]
    return ("late", (day, runs[day], behind / MINUTE)) if behind > 10 * MINUTE else ("on_time", None)


@st.composite
def cities(draw: st.DrawFn) -> tuple[str, datetime, list[dict[str, Any]], list[dict[str, Any]]]:
    """A zone, a now, buses, and the timetable: around midnight, clock changes, and the limits of the rule."""
    zone = draw(st.sampled_from(sorted(CHANGES)))
    middle = draw(st.sampled_from(CHANGES[zone])) + timedelta(days=draw(st.integers(-1, 1)))
    days = [middle + timedelta(days=n) for n in (-1, 0, 1)]
    seconds = st.one_of(st.integers(0, 30 * 3600), st.integers(23 * 3600, 27 * 3600), st.just(24 * 3600))
    near_10_minutes = st.integers(-2, 2).map(lambda off: 600 + off)
    now = due(middle, draw(st.integers(-2 * 3600, 26 * 3600)), zone)
    buses, stops = [], []
    for number in range(draw(st.integers(0, 8))):
        name = f"T{number}"
        age = draw(st.one_of(st.integers(-2, 2), st.integers(0, 2_400), st.integers(1_798, 1_802)))
        seen = now - timedelta(seconds=age)
        ran = draw(st.sampled_from(days))
        behind = draw(st.one_of(near_10_minutes, st.integers(-7_200, 7_200), st.sampled_from([0, 43_200, 82_800])))
        planned = int((seen - due(ran, 0, zone)).total_seconds()) - behind  # so that it is that late
        arrival = planned if 0 <= planned <= 36 * 3600 and draw(st.booleans()) else draw(st.none() | seconds)
        stops += [
            stop(
                trip_id=name,
                stop_sequence=sequence,
                arrival=arrival if sequence == 7 else 0,
                service_days=draw(st.lists(st.sampled_from(days), unique=True)) or [ran],
            )
            for sequence in (6, 7)
        ]
        buses.append(
            bus(
                id=f"e{number}",
                vehicle=f"bus {number}",
                trip_id=draw(st.sampled_from([name, name, name, "unknown"])),
                current_stop=draw(st.sampled_from([7, 7, 7, 7, 8, None])),
                start_date_live=draw(st.sampled_from([None, ran, ran, middle])),
                current_status=draw(st.sampled_from([0, 1, 2, 2])),
                timestamp=seen,
            )
        )
    return zone, now, buses, stops


@settings(max_examples=150, deadline=None)
@given(cities())
def test_the_rule_is_the_one_written_in_plain_python(
    city: tuple[str, datetime, list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    zone, now, buses, stops = city
    found = late_buses(live(*buses), timetable(*stops, zone=zone), now, Rule())
    expected = {bus["vehicle"]: verdict(bus, stops, zone, now) for bus in buses}
    assert {
        row["vehicle"]: (row["start_date"], row["arrival_time_fixed"], row["time_diff"])
        for row in found.late.to_pylist()
    } == {vehicle: what for vehicle, (reason, what) in expected.items() if reason == "late"}
    reasons = Counter(reason for reason, _ in expected.values())
    assert found.dropped == {name.replace("_", " "): count for name, count in reasons.items() if name != "late"}
    assert found.counts["positions"] == len(buses)
    assert found.late.schema.equals(LATE)


def compared(now: datetime = DUE, rule: Rule | None = None, due_at: int = 8 * 3600, **columns: Any) -> Compared:
    """One bus of trip T at its stop 7."""
    return late_buses(live(bus(**columns)), timetable(stop(arrival=due_at)), now, rule or Rule())


@pytest.mark.parametrize(("behind", "late"), [(9 * MINUTE, 0), (10 * MINUTE, 0), (10 * MINUTE + SECOND, 1)])
def test_a_bus_is_late_by_more_than_ten_minutes_not_by_ten(behind: timedelta, late: int) -> None:
    assert compared(DUE + behind, timestamp=DUE + behind).counts["late"] == late


@pytest.mark.parametrize(
    ("age", "reason"),
    [(30 * MINUTE, "late"), (30 * MINUTE + SECOND, "stale"), (0 * SECOND, "late"), (-SECOND, "in_future")],
)
def test_a_position_counts_for_thirty_minutes_and_not_before_its_time(age: timedelta, reason: str) -> None:
    seen = DUE + 20 * MINUTE
    assert compared(seen + age, timestamp=seen).counts[reason] == 1


@pytest.mark.parametrize(("status", "reason"), [(0, "late"), (1, "stopped"), (2, "late")])
def test_a_bus_that_stands_at_its_stop_is_not_late(status: int, reason: str) -> None:
    seen = DUE + 20 * MINUTE
    assert compared(seen, timestamp=seen, current_status=status).counts[reason] == 1


@pytest.mark.parametrize(
    ("started", "seen", "now", "late"),
    [
        (28, "29T01:25:00Z", "29T01:25:00Z", [15]),
        (28, "29T01:25:00Z", "29T01:55:00Z", [15]),
        (28, "29T01:25:00Z", "29T01:55:01Z", []),
        (29, "30T00:25:00Z", "30T00:25:00Z", [15]),
    ],
)
def test_the_example_of_the_rule_comes_true(started: int, seen: str, now: str, late: list[int]) -> None:
    at, clock = (datetime.fromisoformat(f"2026-03-{time}") for time in (seen, now))
    day = date(2026, 3, started)
    stops = timetable(stop(arrival=25 * 3600 + 600, service_days=[day]))
    found = late_buses(live(bus(timestamp=at, start_date_live=day)), stops, clock, Rule())
    assert found.late["time_diff"].to_pylist() == late


def test_half_way_between_two_days_the_earlier_is_meant() -> None:
    seen = DUE + timedelta(hours=12)
    for days in ([DAY, DAY + timedelta(days=1)], [DAY + timedelta(days=1), DAY]):
        stops = timetable(stop(service_days=days))
        found = late_buses(live(bus(timestamp=seen, start_date_live=None)), stops, seen, Rule())
        assert found.late.select(["start_date", "time_diff"]).to_pylist() == [{"start_date": DAY, "time_diff": 720}]


def test_the_limits_are_parameters() -> None:
    seen = DUE + 5 * MINUTE
    rule = Rule(late_minutes=4.9, fresh_minutes=0.5, far_metres=100)
    [row] = compared(seen, rule, timestamp=seen).late.to_pylist()
    assert (row["time_diff"], row["far"]) == (5, True)
    assert compared(seen + 31 * SECOND, rule, timestamp=seen).counts["stale"] == 1


def test_a_late_bus_is_told_with_all_that_is_known_of_it() -> None:
    seen = DUE + 20 * MINUTE
    [row] = compared(seen + SECOND, timestamp=seen, due_at=8 * 3600).late.to_pylist()
    assert {name: value for name, value in row.items() if value is not None} == {
        **{name: stop()[name] for name in ("trip_id", "stop_sequence", "stop_id", "stop_name", "stop_lat", "stop_lon")},
        **{name: stop()[name] for name in ("route_id", "route_short_name", "agency_id")},
        **{name: bus()[name] for name in ("id", "route_id_live", "start_time", "latitude", "longitude", "vehicle")},
        "arrival_time": "08:00:00",
        "departure_time": "08:00:30",
        "arrival_time_fixed": DUE,
        "departure_time_fixed": DUE + 30 * SECOND,
        "start_date": DAY,
        "current_status": 2,
        "timestamp": seen,
        "time_diff": 20.0,
        "distance_m": pytest.approx(200, abs=1),
        "far": False,
        "timezone": "Europe/London",
        "observed_at": seen + SECOND,
    }


@pytest.mark.parametrize(
    ("place", "metres", "far"),
    [
        ((53.8, -1.5), 0, False),
        ((53.8179, -1.5), 1_990, False),
        ((53.8181, -1.5), 2_013, True),
        ((53.8, -1.53), 1_970, False),  # a degree of longitude is shorter than one of latitude
        ((-53.8, 178.5), 20_015_115, True),  # the other end of the Earth
    ],
)
def test_a_bus_far_from_the_stop_it_is_said_to_go_to_is_marked(
    place: tuple[float, float], metres: float, far: bool
) -> None:
    seen = DUE + 20 * MINUTE
    found = compared(seen, timestamp=seen, latitude=place[0], longitude=place[1])
    [row] = found.late.to_pylist()
    assert row["distance_m"] == pytest.approx(metres, abs=1)
    assert (row["far"], found.counts["far"]) == (far, int(far))


def test_a_stop_without_a_place_is_no_reason_to_doubt() -> None:
    seen = DUE + 20 * MINUTE
    found = late_buses(live(bus(timestamp=seen)), timetable(stop(stop_lat=None)), seen, Rule())
    assert found.late.select(["distance_m", "far"]).to_pylist() == [{"distance_m": None, "far": False}]


def test_the_latest_bus_comes_first() -> None:
    now = DUE + 40 * MINUTE
    buses = [bus(id=f"{n}", vehicle=f"{n}", timestamp=DUE + n * MINUTE) for n in (20, 40, 30)]
    found = late_buses(live(*buses), timetable(stop()), now, Rule())
    assert found.late["time_diff"].to_pylist() == [40, 30, 20]


def test_two_vehicles_that_say_the_same_are_one_observation() -> None:
    seen = DUE + 20 * MINUTE
    buses = [bus(id="b", vehicle="bus 2", timestamp=seen), bus(id="a", vehicle="bus 1", timestamp=seen)]
    found = late_buses(live(*buses), timetable(stop()), seen, Rule())
    assert (found.late["vehicle"].to_pylist(), found.counts["twice"]) == (["bus 1"], 1)
    assert found.late.group_by(list(KEY)).aggregate([]).num_rows == found.late.num_rows


def test_a_stop_that_the_timetable_has_twice_does_not_double_the_bus() -> None:
    seen = DUE + 20 * MINUTE
    found = late_buses(live(bus(timestamp=seen)), timetable(stop(stop_id="1"), stop(stop_id="2")), seen, Rule())
    assert found.late["stop_id"].to_pylist() == ["1"]


def test_a_timetable_read_with_dictionaries_gives_the_same() -> None:
    seen = DUE + 20 * MINUTE
    plain = timetable(*(stop(trip_id=trip) for trip in "STU"))
    coded = plain
    for place, column in enumerate(TIMETABLE):
        if column.type == pa.string():
            coded = coded.set_column(place, column.name, plain[column.name].dictionary_encode())
    found = [late_buses(live(bus(timestamp=seen)), given, seen, Rule()).late for given in (plain, coded)]
    assert found[0].num_rows == 1
    assert found[0].equals(found[1])


@pytest.mark.parametrize("tables", [(LIVE.empty_table(), timetable(stop())), (live(bus()), timetable())])
def test_without_buses_or_without_stops_nothing_is_late(tables: tuple[pa.Table, pa.Table]) -> None:
    found = late_buses(*tables, DUE, Rule())
    assert (found.late.num_rows, found.counts["late"], found.counts["far"]) == (0, 0, 0)
    assert found.late.schema.equals(LATE)


def test_a_timetable_without_a_time_zone_is_refused() -> None:
    with pytest.raises(LoadError, match=r"get-bus-timetables makes it anew\): there is no time zone ''"):
        late_buses(live(bus()), timetable(stop()).replace_schema_metadata(None), DUE, Rule())


def test_a_clock_without_a_time_zone_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="aware"):
        compared(datetime(2026, 1, 13, 8))


TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\",\n\r '0"), max_size=8)
VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): TEXT | st.sampled_from(["007", "1e3", "true", "2026-01-13", "NULL", "NaN"]),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.date32(): st.dates(date(1970, 1, 1)),
    pa.timestamp("us", "UTC"): st.datetimes(datetime(1970, 1, 1), datetime(2262, 1, 1), timezones=st.just(UTC)),
}
LATE_ROW = st.fixed_dictionaries({column.name: st.none() | VALUES[column.type] for column in LATE})


@settings(max_examples=60, deadline=None)
@given(st.lists(LATE_ROW, max_size=4))
def test_late_buses_csv_is_read_back_as_it_was(rows: list[dict[str, Any]]) -> None:
    late = pa.Table.from_pylist(rows, LATE)
    found = from_csv(to_csv(late), "late_buses.csv")
    assert found.schema.equals(LATE)
    assert found.to_pylist() == rows


def test_late_buses_csv_is_plain_to_read() -> None:
    seen = DUE + 20 * MINUTE
    header, row, end = to_csv(compared(seen, timestamp=seen).late).decode().split("\n")
    assert header == ",".join(f'"{name}"' for name in LATE.names)
    assert row.startswith('"T",7,"450010441",,"Corn Exchange",53.8,-1.5,,')
    assert "2026-01-13T08:20:00+00:00" in row
    assert end == ""


def test_with_no_late_bus_the_csv_is_its_header() -> None:
    data = to_csv(LATE.empty_table())
    assert data.decode() == ",".join(f'"{name}"' for name in LATE.names) + "\n"
    assert from_csv(data, "late_buses.csv").equals(LATE.empty_table())


def test_a_csv_cut_anywhere_but_between_two_rows_is_refused() -> None:
    rows = [
        dict.fromkeys(LATE.names, None) | {"trip_id": f"a\n{n}", "vehicle": 'b"\nc', "time_diff": 12.5}
        for n in range(3)
    ]
    whole = to_csv(pa.Table.from_pylist(rows, LATE))
    passed = []
    for cut in range(len(whole)):
        with suppress(LoadError):
            passed.append(from_csv(whole[:cut], "late_buses.csv").to_pylist())
    assert passed == [rows[:0], rows[:1], rows[:2]]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty or cut short"),
        (b"<html>\n<p>403</p>\n", "has other columns than declared: it lacks trip_id, stop_sequence"),
        (b'"trip_id","time_diff"\n"T",12\n', "it lacks stop_sequence"),
        (to_csv(LATE.empty_table()) + b'"T","seven"' + b"," * 34 + b"\n", "'seven' does not fit the type integer"),
        (to_csv(LATE.empty_table()) + b'"T",7\n', "row 1"),
        (to_csv(LATE.empty_table()) + b'"\xff",7' + b"," * 34 + b"\n", "is not valid UTF-8"),
    ],
)
def test_another_file_is_refused_by_name_row_and_column(data: bytes, said: str) -> None:
    with pytest.raises(LoadError) as error:
        from_csv(data, "gs://buses/late_buses.csv")
    assert str(error.value).startswith("gs://buses/late_buses.csv")
    assert said in str(error.value)
