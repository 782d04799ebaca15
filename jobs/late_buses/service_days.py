"""Which services run on which days: calendar.txt, by weekday, and calendar_dates.txt, the exceptions to it."""

from collections.abc import Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from jobs.late_buses import gtfs_csv
from longshore.errors import LoadError
from longshore.sources.zip import Zip

CALENDAR, DATES = "calendar.txt", "calendar_dates.txt"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
CALENDAR_COLUMNS = ("service_id", *WEEKDAYS, "start_date", "end_date")
DATES_COLUMNS = ("service_id", "date", "exception_type")
ADDED, REMOVED = "1", "2"

SCHEMA = pa.schema({"service_id": pa.string(), "service_days": pa.list_(pa.date32())})


def read(gtfs: Zip, days: Sequence[date]) -> pa.Table:
    """`service_days` of the zip. Raises LoadError for a field that is no date, no weekday mark or no exception type."""
    calendar = dates = None
    if CALENDAR in gtfs:
        calendar = gtfs_csv.table(gtfs, CALENDAR, CALENDAR_COLUMNS)
        where = f"{gtfs.name}: {CALENDAR}"
        _check(where, calendar, WEEKDAYS, "^[01]$", "0 or 1")
        _check(where, calendar, ("start_date", "end_date"), r"^\d{8}$", "a date as YYYYMMDD")
    if DATES in gtfs:
        dates = gtfs_csv.table(gtfs, DATES, DATES_COLUMNS)
        where = f"{gtfs.name}: {DATES}"
        _check(where, dates, ("date",), r"^\d{8}$", "a date as YYYYMMDD")
        _check(where, dates, ("exception_type",), "^[12]$", "1 (added) or 2 (removed)")
    if calendar is None and dates is None:
        raise LoadError(
            f"{gtfs.name} has neither {CALENDAR} nor {DATES}: nothing says on which days the buses run."
            " Is it the right file?"
        )
    return service_days(calendar, dates, days)


def service_days(calendar: pa.Table | None, dates: pa.Table | None, days: Sequence[date]) -> pa.Table:
    """The days, of `days`, on which each service runs: SCHEMA, sorted; services that run on none are left out.

    calendar, dates: the GTFS files, in text. A removal beats whatever adds the same day; a day that is added may
    lie outside the service's start and end.
    """
    running: dict[str, list[date]] = {}
    for day in sorted(set(days)):
        text = day.strftime("%Y%m%d")
        services = _by_weekday(calendar, WEEKDAYS[day.weekday()], text) if calendar else set()
        if dates:
            services = (services | _excepted(dates, text, ADDED)) - _excepted(dates, text, REMOVED)
        for service in services:
            running.setdefault(service, []).append(day)
    return pa.table([sorted(running), [running[service] for service in sorted(running)]], schema=SCHEMA)


def _by_weekday(calendar: pa.Table, weekday: str, day: str) -> set[str]:
    within = (pc.field("start_date") <= day) & (pc.field("end_date") >= day)  # as YYYYMMDD, text sorts as dates do
    return _services(calendar.filter(within & (pc.field(weekday) == "1")))


def _excepted(dates: pa.Table, day: str, kind: str) -> set[str]:
    return _services(dates.filter((pc.field("date") == day) & (pc.field("exception_type") == kind)))


def _services(table: pa.Table) -> set[str]:
    return {service for service in table["service_id"].to_pylist() if service is not None}


def _check(where: str, table: pa.Table, columns: Sequence[str], pattern: str, wanted: str) -> None:
    for column in columns:
        row = pc.index(pc.match_substring_regex(table[column].fill_null(""), pattern), False).as_py()
        if row >= 0:
            value = table[column][row].as_py()
            raise LoadError(
                f"{where}, row {row + 1:,}, column {column!r}: {value!r} is not {wanted}. Correct the file."
            )
