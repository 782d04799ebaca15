"""A region's GTFS zip becomes the stop times of one agency, of the days around today."""

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from jobs.common.backoff import Log
from jobs.common.errors import LoadError
from jobs.common.report import Report
from jobs.common.steps import clock
from jobs.common.web import RemoteFile, open_url
from jobs.late_buses import store
from jobs.late_buses.store import Store
from jobs.late_buses.timetable import batches

IN_MEMORY = 64 << 20  # bytes of a zip; above that it goes to a disk, which in Cloud Run is memory as well
MOST_BYTES = 2 << 30
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
    with open_url(fetch.url, log, advice=ADVICE) as remote, SpooledTemporaryFile(IN_MEMORY) as file:
        notes = {"source": remote.name, "etag": remote.fingerprint or "", **covered(fetch.agency, days)}
        if remote.fingerprint and not fetch.force and place.notes(store.TIMETABLE) == notes:
            return Report(fetch.title, place.uri(store.TIMETABLE), fetch.slice, "unchanged")
        _download(remote, cast(BinaryIO, file))
        reader = batches(cast(BinaryIO, file), remote.name, fetch.agency, days)
        target, rows = place.write_rows(store.TIMETABLE, reader, notes)
    if not rows:
        log.warning("%s has no trip of %s from %s to %s. Has it expired?", remote.name, fetch.agency, days[0], days[-1])
    return Report(
        fetch.title, target, fetch.slice, "loaded", rows, {}, rows, remote.bytes_received,
        time.monotonic() - started,
    )  # fmt: skip


def _download(remote: RemoteFile, file: BinaryIO) -> None:
    for chunk in remote.chunks():
        file.write(chunk)
        if file.tell() > MOST_BYTES:
            raise LoadError(f"{remote.name} has more than {MOST_BYTES:,} bytes. Is it a timetable?")


def covered(agency: str, days: list[date]) -> dict[str, str]:
    """What is noted with a timetable, so that one need not read it to know whom and which days it is for."""
    return {"agency": agency, "days": ",".join(day.isoformat() for day in days)}


def missing(bucket: str, agency: str, now: datetime | None) -> bool:
    """Whether there is no timetable of the agency for this time, wherever that is."""
    notes = Store.of(bucket).notes(store.TIMETABLE) or {}
    tomorrow = (clock(now).astimezone(UTC) + timedelta(days=1)).date().isoformat()
    return notes.get("agency") != agency or tomorrow not in notes.get("days", "")
