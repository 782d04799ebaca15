"""A region's GTFS zip becomes the stop times of one agency, of the days around today."""

import time
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from jobs.late_buses import store
from jobs.late_buses.store import Store
from jobs.late_buses.timetable import batches
from longshore import report
from longshore.backoff import Log
from longshore.flows.steps import clock
from longshore.report import Report
from longshore.sources.web import open_url
from longshore.sources.zip import downloaded

ADVICE = {404: "there is no timetable: correct timetable_url or BUS_TIMETABLE_URL."}


@dataclass(frozen=True)
class Fetch:
    """now: None, the clock's. Two days before and after it are taken, by UTC: yesterday's trips run on after midnight,
    what is made in the morning must serve until the next, and it is another date elsewhere.
    """

    url: str
    agency: str
    now: datetime | None
    force: bool = False
    slice: str = store.TIMETABLE
    target: str = store.TIMETABLE

    @property
    def title(self) -> str:
        return f"timetable of {self.agency}"

    def days(self) -> list[date]:
        today = clock(self.now).astimezone(UTC).date()
        return [today + timedelta(days=number) for number in range(-2, 3)]


def run(fetch: Fetch, bucket: str, log: Log) -> Report:
    """The timetable in the bucket, or nothing to do when the one there is of the same zip, agency and days."""
    started = time.monotonic()
    place, days = Store.of(bucket), fetch.days()
    with open_url(fetch.url, log, advice=ADVICE) as remote:
        notes = {"source": remote.name, "etag": remote.fingerprint or "", **covered(fetch.agency, days)}
        fetch = replace(fetch, target=place.uri(store.TIMETABLE))
        if remote.fingerprint and not fetch.force and place.notes(store.TIMETABLE) == notes:
            return report.unchanged(fetch)
        with downloaded(remote) as file:
            reader = batches(file, remote.name, fetch.agency, days)
            _, rows = place.write_rows(store.TIMETABLE, reader, notes)
    if not rows:
        log.warning("%s has no trip of %s from %s to %s. Has it expired?", remote.name, fetch.agency, days[0], days[-1])
    return report.loaded(fetch, started, rows, rows, bytes=remote.bytes_received)


def covered(agency: str, days: list[date]) -> dict[str, str]:
    """What is noted with a timetable, so that one need not read it to know whom and which days it is for."""
    return {"agency": agency, "days": ",".join(day.isoformat() for day in days)}


def missing(bucket: str, agency: str, now: datetime | None) -> bool:
    """Whether there is no timetable of the agency for this time, wherever that is."""
    notes = Store.of(bucket).notes(store.TIMETABLE) or {}
    tomorrow = (clock(now).astimezone(UTC) + timedelta(days=1)).date().isoformat()
    return notes.get("agency") != agency or tomorrow not in notes.get("days", "")
