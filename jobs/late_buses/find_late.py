"""Positions and timetable become late_buses.csv."""

import time
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa

from jobs.late_buses import store
from jobs.late_buses.compare import Rule, late_buses
from jobs.late_buses.gtfs_time import zone
from jobs.late_buses.late_csv import to_csv
from jobs.late_buses.store import Store
from longshore import report
from longshore.backoff import Log
from longshore.errors import LoadError
from longshore.flows.steps import clock
from longshore.report import Report
from longshore.sinks.lake import whole


@dataclass(frozen=True)
class Find:
    """live: the object with the positions. now: None, the clock's."""

    live: str
    now: datetime | None
    rule: Rule
    title: str = "late buses"
    target: str = store.LATE
    slice: str = store.LATE


def run(find: Find, bucket: str, log: Log) -> Report:
    """late_buses.csv, replaced whole; with no row but the header where no bus is late."""
    started = time.monotonic()
    place = Store.of(bucket)
    live = place.read_table(find.live, store.NO_POSITIONS)
    timetable = place.read_table(store.TIMETABLE, store.NO_TIMETABLE, dictionaries=True)
    now = clock(find.now)
    check_covers(timetable, now, place.uri(store.TIMETABLE))
    found = late_buses(live, timetable, now, find.rule)
    target = place.write(store.LATE, to_csv(found.late), whole.CSV)
    rows = found.late.num_rows
    return report.loaded(replace(find, target=target), started, live.num_rows, rows, found.dropped)


def check_covers(timetable: pa.Table, now: datetime, name: str) -> None:
    """Raise LoadError for a timetable of other days: with it no bus would be late."""
    notes = timetable.schema.metadata or {}
    days = notes.get(b"days", b"").decode().split(",")
    today = now.astimezone(zone(notes.get(b"timezone", b"").decode(), name)).date().isoformat()
    if today not in days:
        raise LoadError(f"{name} is for {days[0]} to {days[-1]}, not for {today}. {store.NO_TIMETABLE}")
