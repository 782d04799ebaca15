"""The timetable of one agency: its trips, their days and their stops, and what is wrong with a feed."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import date, timedelta
from io import BytesIO

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.late_buses import gtfs_csv, service_days, timetable
from jobs.late_buses.columns import TIMETABLE
from longshore.errors import LoadError
from tests.unit.gtfs_files import FILES, changed, packed

SUNDAY = date(2026, 3, 1)
DAYS = [SUNDAY + timedelta(days=number) for number in (-1, 0, 1)]


def made(file: BytesIO, agency: str = "First Leeds", days: Sequence[date] = DAYS) -> pa.Table:
    return timetable.timetable(file, "bench.zip", agency, days)


def trips(table: pa.Table) -> dict[str, list[date]]:
    return dict(zip(table["trip_id"].to_pylist(), table["service_days"].to_pylist(), strict=True))


def test_the_stops_of_the_agencys_trips_are_put_together_in_order() -> None:
    table = made(packed({}))
    assert table.schema.equals(TIMETABLE)
    places = [(row["trip_id"], row["stop_sequence"]) for row in table.to_pylist()]
    assert places == [("t1", 1), ("t1", 2), ("t2", 2), ("t2", 10)]
    assert table.to_pylist()[2] == {
        "trip_id": "t2",
        "stop_sequence": 2,
        "arrival": 23 * 3600 + 50 * 60,
        "departure": 23 * 3600 + 51 * 60,
        "stop_id": "450",
        "stop_code": "c1",
        "stop_name": 'The "Crown", High St',
        "stop_lat": 53.8,
        "stop_lon": -1.5,
        "stop_headsign": None,
        "route_id": "r1",
        "route_short_name": "1",
        "route_long_name": "Town, Centre - Hill",
        "route_type": "3",
        "agency_id": "A",
        "service_id": "week",
        "trip_headsign": "Hill",
        "block_id": "b1",
        "shape_id": "s1",
        "vehicle_journey_code": "VJ1",
        "service_days": [date(2026, 3, 2)],
    }


def test_what_the_timetable_covers_is_in_its_metadata() -> None:
    metadata = {b"timezone": b"Europe/London", b"agency": b"First Leeds", b"days": b"2026-02-28,2026-03-01,2026-03-02"}
    assert made(packed({}), "  first LEEDS ", DAYS[::-1]).schema.metadata == metadata


def test_a_time_after_midnight_stays_one_of_the_service_day_and_no_time_is_null() -> None:
    table = made(packed({}))
    assert table["arrival"].to_pylist() == [7 * 3600 + 300, None, 23 * 3600 + 3000, 25 * 3600 + 600]
    assert table["departure"].to_pylist() == [None, None, 23 * 3600 + 3060, 25 * 3600 + 600]


def test_a_trip_that_runs_on_none_of_the_days_is_left_out() -> None:
    assert trips(made(packed({}), days=[SUNDAY])) == {"t1": [SUNDAY]}
    assert made(packed({}), days=[SUNDAY - timedelta(days=1)]).num_rows == 0


def test_a_bank_holiday_runs_as_its_exceptions_say() -> None:
    easter_monday = date(2026, 4, 6)
    days = [easter_monday + timedelta(days=number) for number in (-1, 0, 1)]
    assert trips(made(packed({}), days=days)) == {"t1": days[:2], "t2": days[2:]}


@pytest.mark.parametrize("missing", ["calendar.txt", "calendar_dates.txt"])
def test_one_of_the_calendars_may_be_missing(missing: str) -> None:
    days = [date(2026, 4, 6), date(2026, 4, 7)]
    by = {"calendar.txt": {"t1": days[:1]}, "calendar_dates.txt": {"t2": days}}
    assert trips(made(packed({missing: None}), days=days)) == by[missing]


def test_a_feed_with_bom_crlf_and_one_folder_is_the_same() -> None:
    files = {name: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() for name, text in FILES.items()}
    assert made(packed(files, "feed/")).equals(made(packed({})), check_metadata=True)


def test_the_order_of_rows_in_the_feed_does_not_matter() -> None:
    def backwards(text: str) -> str:
        header, *rows = text.splitlines()
        return "\n".join([header, *reversed(rows)])

    assert made(packed({name: backwards(text) for name, text in FILES.items()})).equals(made(packed({})))


def test_of_many_stop_times_in_blocks_just_the_agencys_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gtfs_csv, "BLOCK", 1000)
    monkeypatch.setattr(timetable, "BATCH", 1000)
    rows = [f"{trip},10:00:00,10:00:00,450,{n}" for n in range(3000) for trip in ("t2", "t3", "t1")]
    header = "trip_id,arrival_time,departure_time,stop_id,stop_sequence\n"
    table = made(packed({"stop_times.txt": header + "\n".join(rows)}))
    places = list(zip(table["trip_id"].to_pylist(), table["stop_sequence"].to_pylist(), strict=True))
    assert places == [(trip, n) for trip in ("t1", "t2") for n in range(3000)]


def test_columns_that_gtfs_does_not_require_may_be_missing() -> None:
    files = {
        "routes.txt": "route_id,agency_id\nr1,A\n",
        "trips.txt": "route_id,service_id,trip_id\nr1,week,t2\n",
        "stops.txt": "stop_id,stop_name,stop_lat,stop_lon\n450,,,\n",
        "stop_times.txt": "trip_id,arrival_time,stop_id,stop_sequence\nt2,10:00:00,450,1\n",
    }
    (row,) = made(packed(files)).to_pylist()
    there = {name for name, value in row.items() if value is not None}
    wanted = {"trip_id", "stop_sequence", "arrival", "stop_id", "route_id", "agency_id", "service_id", "service_days"}
    assert there == wanted


def test_a_stop_that_stops_txt_does_not_know_keeps_its_row() -> None:
    table = made(changed("stops.txt", "0451,c2", "451,c2"))
    assert table["stop_id"].to_pylist() == ["450", "0451", "450", "0451"]
    assert table["stop_name"].is_null().to_pylist() == [False, True, False, True]


def test_the_only_agency_needs_no_id() -> None:
    files = {
        "agency.txt": "agency_name,agency_timezone\nFirst Leeds,Europe/London\n",
        "routes.txt": "route_id,route_short_name,route_type\nr1,1,3\n",
    }
    table = made(packed(files))
    assert trips(table).keys() == {"t1", "t2"}
    assert table["agency_id"].null_count == table.num_rows
    assert trips(made(packed({"agency.txt": "agency_id" + FILES["agency.txt"][9:].replace("B,Other", "C,Ours")})))


def test_routes_without_an_agency_are_those_of_the_only_one() -> None:
    files = {
        "agency.txt": "agency_id,agency_name,agency_timezone\nA,First Leeds,Europe/London\n",
        "routes.txt": "route_id,agency_id\nr1,\n",
    }
    assert set(made(packed(files))["agency_id"].to_pylist()) == {"A"}


def test_an_agency_that_is_entered_twice_has_the_routes_of_both() -> None:
    table = made(changed("agency.txt", "Other Buses", "First Leeds"))
    assert dict(zip(table["trip_id"].to_pylist(), table["agency_id"].to_pylist(), strict=True)) == {
        "t1": "A",
        "t2": "A",
        "t3": "B",
    }


def test_the_name_written_just_so_comes_before_one_in_another_case() -> None:
    file = changed("agency.txt", "Other Buses", "FIRST LEEDS")
    assert trips(made(file)).keys() == {"t1", "t2"}
    assert trips(made(file, "FIRST LEEDS")).keys() == {"t3"}


def test_an_agency_that_is_not_there_is_an_error_with_the_names() -> None:
    with pytest.raises(
        LoadError,
        match=r"zip has no agency 'Last'. Set agency to one that agency.txt names: First Leeds, Other Buses\.$",
    ):
        made(packed({}), "Last")
    many = "agency_id,agency_name,agency_timezone\n" + "".join(f"{n},N{n:02},Europe/London\n" for n in range(50))
    with pytest.raises(LoadError, match=r"names: N00, N01, .*, N19 and 30 more\.$"):
        made(packed({"agency.txt": many}))


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("agency.txt", "Leeds,Europe/London", "Leeds,Leeds", "no time zone 'Leeds'"),
        ("agency.txt", "Leeds,Europe/London", "Leeds,", "no time zone ''"),
        ("agency.txt", "Other Buses,Europe/London", "First Leeds,UTC", "'First Leeds' more than one agency_timezone"),
        ("routes.txt", "r2,B", "r1,A", "routes.txt has route_id 'r1' twice"),
        ("trips.txt", "r1,sunday,t1", "r1,sunday,t2", "trips.txt has trip_id 't2' twice"),
        ("trips.txt", "r1,sunday,t1", "r1,sunday,", "trips.txt has a row without trip_id"),
        ("stops.txt", "0451,c2", "450,c2", "stops.txt has stop_id '450' twice"),
        ("stops.txt", "53.9", "N53", "stops.txt, stop_id '0451', column 'stop_lat': 'N53' is not a number of degrees"),
        ("stop_times.txt", "25:10:00,0451", "soon,0451", "trip_id 't2', column 'departure_time': 'soon' is not a time"),
        ("stop_times.txt", "25:10:00,25", "25:61:00,25", "column 'arrival_time': '25:61:00' is not a time such as"),
        ("stop_times.txt", "0451,10", "0451,ten", "'t2', column 'stop_sequence': 'ten' is not a whole number"),
        ("stop_times.txt", "0451,10", "0451,", "'t2', column 'stop_sequence': '' is not a whole number"),
        ("stop_times.txt", "0451,10", "0451,2", "stop_times.txt: trip_id 't2' has stop_sequence 2 twice"),
        ("calendar.txt", "week,1", "week,yes", "calendar.txt, row 1, column 'monday': 'yes' is not 0 or 1"),
        ("calendar.txt", "0,1,20260101", "0,1,01/01/26", "calendar.txt, row 2, column 'start_date': '01/01/26' is not"),
        (
            "calendar_dates.txt",
            "week,20260406",
            "week,",
            "calendar_dates.txt, row 1, column 'date': None is not a date",
        ),
        ("calendar_dates.txt", "406,1", "406,3", "row 2, column 'exception_type': '3' is not 1 .added. or 2 .removed."),
    ],
)
def test_a_feed_with_a_fault_is_refused_with_its_place(name: str, old: str, new: str, says: str) -> None:
    with pytest.raises(LoadError, match=f"bench.zip.*{says}"):
        made(changed(name, old, new))


@settings(deadline=None)
@given(
    name=st.sampled_from(sorted(FILES)), at=st.integers(0, 150), text=st.sampled_from(list('",\n\r\t\0 09aé\ufeff-:'))
)
def test_a_feed_with_another_character_somewhere_is_an_error_or_a_timetable(name: str, at: int, text: str) -> None:
    whole = FILES[name]
    with suppress(LoadError):
        made(packed({name: whole[:at] + text + whole[at + 1 :]})).validate(full=True)


@pytest.mark.parametrize("name", sorted({*FILES} - {"calendar.txt", "calendar_dates.txt"}))
def test_a_missing_file_is_named(name: str) -> None:
    with pytest.raises(LoadError, match=f"bench.zip has no {name}; it holds "):
        made(packed({name: None}))


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("agency.txt", "agency_timezone"),
        ("routes.txt", "route_id"),
        ("calendar.txt", "sunday"),
        ("calendar_dates.txt", "exception_type"),
        ("trips.txt", "service_id"),
        ("stops.txt", "stop_lat"),
        ("stop_times.txt", "arrival_time"),
    ],
)
def test_a_missing_column_is_named_with_those_that_are_there(name: str, column: str) -> None:
    with pytest.raises(LoadError, match=f"bench.zip: {name} lacks the column {column}; it has .*other"):
        made(changed(name, column, "other"))


def test_a_feed_without_any_calendar_is_refused() -> None:
    with pytest.raises(LoadError, match=r"neither calendar.txt nor calendar_dates.txt: nothing says on which days"):
        made(packed({"calendar.txt": None, "calendar_dates.txt": None}))


def test_a_service_runs_on_its_first_and_on_its_last_day() -> None:
    first, last = DAYS[0], DAYS[-1]
    week = ("a", *"1111111", f"{first:%Y%m%d}", f"{last:%Y%m%d}")
    around = [first - timedelta(days=1), *DAYS, last + timedelta(days=1)]
    found = service_days.service_days(text_table(service_days.CALENDAR_COLUMNS, [week]), None, around)
    assert found["service_days"].to_pylist() == [DAYS]


dates = st.integers(0, 9).map(lambda number: SUNDAY + timedelta(days=number))
services = st.sampled_from(["a", "b", "c"])
weeks = st.tuples(services, st.lists(st.booleans(), min_size=7, max_size=7), dates, dates)
exceptions = st.tuples(services, dates, st.sampled_from([1, 2]))

Week = tuple[str, list[bool], date, date]
Exception_ = tuple[str, date, int]


def runs(service: str, day: date, calendar: Sequence[Week], excepted: Sequence[Exception_]) -> bool:
    """The rule, said once more: for one service and one day."""
    kinds = {kind for name, on, kind in excepted if (name, on) == (service, day)}
    if kinds:
        return 2 not in kinds
    return any(name == service and first <= day <= last and week[day.weekday()] for name, week, first, last in calendar)


@settings(deadline=None)
@given(
    calendar=st.none() | st.lists(weeks, max_size=4),
    excepted=st.none() | st.lists(exceptions, max_size=8),
    days=st.lists(dates, max_size=5),
)
def test_services_run_by_weekday_between_their_dates_but_for_the_exceptions(
    calendar: list[Week] | None, excepted: list[Exception_] | None, days: list[date]
) -> None:
    weekly = dated = None
    if calendar is not None:
        rows = [
            (service, *("01"[on] for on in week), f"{first:%Y%m%d}", f"{last:%Y%m%d}")
            for service, week, first, last in calendar
        ]
        weekly = text_table(service_days.CALENDAR_COLUMNS, rows)
    if excepted is not None:
        dated = text_table(
            service_days.DATES_COLUMNS, [(name, f"{on:%Y%m%d}", str(kind)) for name, on, kind in excepted]
        )
    expected = {
        service: on
        for service in "abc"
        if (on := [day for day in sorted(set(days)) if runs(service, day, calendar or [], excepted or [])])
    }
    found = service_days.service_days(weekly, dated, days)
    assert found.schema == service_days.SCHEMA
    assert dict(zip(found["service_id"].to_pylist(), found["service_days"].to_pylist(), strict=True)) == expected
    assert found.num_rows == len(expected)


def text_table(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> pa.Table:
    return pa.table({name: pa.array([row[i] for row in rows], pa.string()) for i, name in enumerate(columns)})
