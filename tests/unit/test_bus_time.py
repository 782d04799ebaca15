"""The times of GTFS: read and written, and the instants that they mean on days of 23, 24 and 25 hours."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.late_buses import gtfs_time
from longshore.errors import LoadError

LONDON, NEW_YORK = ZoneInfo("Europe/London"), ZoneInfo("America/New_York")
HOURS = st.one_of(st.none(), st.integers(0, 400_000))


def instant(day: date, seconds: int, tz: ZoneInfo) -> str:
    [at] = gtfs_time.scheduled(pa.array([day]), pa.array([seconds], pa.int32()), tz).to_pylist()
    return f"{at.astimezone(UTC):%d %H:%M}"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00:00", 0),
        ("7:05:00", 25_500),
        (" 7:05:09 ", 25_509),
        ("23:59:59", 86_399),
        ("24:00:00", 86_400),
        ("25:10:00", 90_600),
        ("100:00:00", 360_000),
        ("", None),
        ("  ", None),
        (None, None),
    ],
)
def test_a_time_is_read_as_seconds_and_past_midnight_goes_on(text: str | None, seconds: int | None) -> None:
    found = gtfs_time.seconds(pa.array(["12:00:00", text], pa.string()))
    assert found.type == pa.int32()
    assert found.to_pylist() == [43_200, seconds]


@pytest.mark.parametrize("text", ["7:5:00", "07:60:00", "07:00:60", "07:00", "-1:00:00", "7h", "٠٧:٠٠:٠٠", "07:00:00x"])
def test_what_is_no_time_is_named_with_its_row(text: str) -> None:
    times = pa.chunked_array([["06:00:00", None], ["", text, "06:00:00"]])
    with pytest.raises(LoadError) as error:
        gtfs_time.seconds(times, "stop_times.txt, arrival_time", rows_before=1_000)
    assert str(error.value).startswith(f"stop_times.txt, arrival_time, row 1,004: {text!r} is not a time")


@settings(deadline=None)
@given(st.lists(HOURS))
def test_times_written_as_text_are_read_back(seconds: list[int | None]) -> None:
    text = gtfs_time.gtfs_text(pa.array(seconds, pa.int32()))
    assert gtfs_time.seconds(text).to_pylist() == seconds
    assert all(len(time) >= 8 for time in text.to_pylist() if time)


def test_times_after_midnight_are_written_as_gtfs_writes_them() -> None:
    times = pa.chunked_array([[90_600, None], [0, 363_599]], pa.int32())
    assert gtfs_time.gtfs_text(times).to_pylist() == ["25:10:00", None, "00:00:00", "100:59:59"]


@pytest.mark.parametrize(
    ("day", "start"),
    [
        (date(2026, 1, 13), datetime(2026, 1, 13, 0)),  # winter
        (date(2026, 7, 21), datetime(2026, 7, 20, 23)),  # summer
        (date(2026, 3, 28), datetime(2026, 3, 28, 0)),
        (date(2026, 3, 29), datetime(2026, 3, 28, 23)),  # clocks go forward: an hour before midnight
        (date(2026, 3, 30), datetime(2026, 3, 29, 23)),
        (date(2026, 10, 24), datetime(2026, 10, 23, 23)),
        (date(2026, 10, 25), datetime(2026, 10, 25, 0)),  # clocks go back: an hour after midnight
        (date(2026, 10, 26), datetime(2026, 10, 26, 0)),
    ],
)
def test_a_service_day_in_london_starts_at_noon_minus_twelve_hours(day: date, start: datetime) -> None:
    assert gtfs_time.day_start(day, LONDON) == start.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "start"),
    [
        (date(2026, 3, 7), datetime(2026, 3, 7, 5)),
        (date(2026, 3, 8), datetime(2026, 3, 8, 4)),  # clocks go forward
        (date(2026, 3, 9), datetime(2026, 3, 9, 4)),
        (date(2026, 10, 31), datetime(2026, 10, 31, 4)),
        (date(2026, 11, 1), datetime(2026, 11, 1, 5)),  # clocks go back
    ],
)
def test_a_service_day_in_new_york_starts_at_noon_minus_twelve_hours(day: date, start: datetime) -> None:
    assert gtfs_time.day_start(day, NEW_YORK) == start.replace(tzinfo=UTC)


def test_the_example_of_the_rule_comes_true() -> None:
    saturday, sunday = date(2026, 3, 28), date(2026, 3, 29)
    assert instant(saturday, 90_600, LONDON) == "29 01:10"
    assert instant(sunday, 90_600, LONDON) == "30 00:10"


def test_a_clock_time_after_the_change_is_that_on_the_clock() -> None:
    assert instant(date(2026, 3, 29), 9 * 3600, LONDON) == "29 08:00"
    assert instant(date(2026, 10, 25), 9 * 3600, LONDON) == "25 09:00"
    assert instant(date(2026, 11, 1), 9 * 3600, NEW_YORK) == "01 14:00"


@settings(deadline=None)
@given(
    day=st.dates(date(2020, 1, 1), date(2035, 12, 31)),
    seconds=st.integers(12 * 3600, 24 * 3600 - 1),
    tz=st.sampled_from([LONDON, NEW_YORK, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Asia/Kolkata")]),
)
def test_from_noon_on_a_time_is_what_the_local_clock_shows(day: date, seconds: int, tz: ZoneInfo) -> None:
    at = gtfs_time.scheduled(pa.array([day]), pa.array([seconds], pa.int32()), tz)[0].as_py()
    local = datetime.combine(day, datetime.min.time()) + timedelta(seconds=seconds)
    assert at.astimezone(tz).replace(tzinfo=None) == local


def test_without_a_day_or_a_time_there_is_no_instant() -> None:
    days = pa.chunked_array([[None, date(2026, 1, 13)], [date(2026, 1, 13)]], pa.date32())
    found = gtfs_time.scheduled(days, pa.chunked_array([[60], [None, 60]], pa.int32()), LONDON)
    assert found.to_pylist() == [None, None, datetime(2026, 1, 13, 0, 1, tzinfo=UTC)]
    assert len(gtfs_time.scheduled(days.slice(0, 0), pa.array([], pa.int32()), LONDON)) == 0


@pytest.mark.parametrize("name", ["", "Leeds/Corn_Exchange", "../etc/passwd", "Europe"])
def test_a_time_zone_that_is_none_is_named(name: str) -> None:
    with pytest.raises(LoadError, match=r"agency\.txt: there is no time zone"):
        gtfs_time.zone(name, "agency.txt")
