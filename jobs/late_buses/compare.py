"""Live positions against the timetable: which buses are late."""

import math
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from jobs.late_buses import gtfs_time
from jobs.late_buses.columns import KEY, LATE, TIMETABLE
from longshore.rows.keyed import firsts

STOPPED_AT = 1
HALF_A_DAY = 12 * 60  # minutes
EARTH_METRES = 6_371_008.8  # mean radius


@dataclass(frozen=True)
class Rule:
    """late_minutes: later than this is late. fresh_minutes: the oldest position that counts.

    far_metres: from further off a bus is hardly on its way to that stop; it stays in the table, marked. In a city
    stops are some 300 m apart, rarely over a kilometre; with miles of motorway between two stops, take more.
    """

    late_minutes: float = 10.0
    fresh_minutes: float = 30.0
    far_metres: float = 2_000.0


@dataclass(frozen=True)
class Compared:
    """late: the table LATE, the latest bus first. counts: what became of the positions.

    positions = no_such_trip + seen_later + no_next_stop + no_such_stop + no_arrival_time + not_running_that_day +
    matched, and matched = in_future + stale + stopped + on_time + twice + late; of the late, `far` are marked so.
    """

    late: pa.Table
    counts: dict[str, int]

    @property
    def dropped(self) -> dict[str, int]:
        """Of the positions, those that are not in the table, by reason."""
        sums = ("positions", "matched", "late", "far")
        named = {reason.replace("_", " "): count for reason, count in self.counts.items() if reason not in sums}
        return {reason: count for reason, count in named.items() if count}


@dataclass
class _Sieve:
    """Lets rows through, and counts by reason those that it does not."""

    counts: dict[str, int] = field(default_factory=dict)

    def passed(self, rows: pa.Table, kept: pa.Table, reason: str) -> pa.Table:
        self.counts[reason] = rows.num_rows - kept.num_rows
        return kept

    def where(self, rows: pa.Table, wanted: pa.ChunkedArray, reason: str) -> pa.Table:
        return self.passed(rows, rows.filter(wanted), reason)


def late_buses(live: pa.Table, timetable: pa.Table, now: datetime, rule: Rule) -> Compared:
    """The buses that are late at `now` (aware), from the tables LIVE and TIMETABLE.

    Which stop: the one that the bus stands at or goes to next: the timetable's row of the same trip_id whose
    stop_sequence is the bus's current_stop.

    When it was due: on the trip's service day, at noon minus 12 h in the agency's time zone plus the arrival time.
    The service day is the start date in the feed, if the trip runs on that day. Where the feed has none, it is the
    day, of those on which the trip runs, whose arrival is nearest to the position's time (of two, the earlier), and
    at most 12 hours from it: further off it is another day's.

    Late: the position's time is more than late_minutes after that; now is at most fresh_minutes after the position's
    time, and not before it; and the bus is not STOPPED_AT the stop. A bus on its way will be later still when it
    arrives, so time_diff is the least that it is late.

    Example: trip T started on Saturday 28 March 2026 in London. It is due at stop 7 at 25:10:00. Saturday's noon is
    12:00 UTC, so the day's times count from 00:00 UTC, and the bus is due on Sunday at 01:10 UTC. In London, where
    the clocks went forward at 01:00 UTC, that is 02:10. The bus says at 01:25 UTC that it is on its way to stop 7:
    it is 15 minutes late. At 01:55 UTC that still counts, a second later it is too old. The same trip started on
    Sunday counts from Sunday noon, 11:00 UTC, minus 12 h: it is due on Monday at 00:10 UTC, 01:10 in London.

    Which vehicle: of one that is in the feed on several trips of the timetable, the latest position. Not earlier, as
    the feed comes in: numbers are an operator's own, and the timetable is of one, so the trip tells whose bus it is.

    Two vehicles that say the same (KEY) are one observation: the first by vehicle is kept.
    Raises LoadError when the timetable does not tell its time zone.
    """
    if now.tzinfo is None:
        raise ValueError("now must be aware of its time zone")
    named = (timetable.schema.metadata or {}).get(b"timezone", b"").decode()
    tz = gtfs_time.zone(named, "The timetable in the bucket (get-bus-timetables makes it anew)")
    sieve = _Sieve({"positions": live.num_rows})
    rows = _dated(_at_stops(live, timetable, sieve), tz, sieve)
    sieve.counts["matched"] = rows.num_rows
    rows = rows.append_column("age", _minutes(pa.scalar(now, gtfs_time.INSTANT), rows["timestamp"]))
    rows = sieve.where(rows, pc.greater_equal(rows["age"], 0), "in_future")
    rows = sieve.where(rows, pc.less_equal(rows["age"], rule.fresh_minutes), "stale")
    rows = sieve.where(rows, pc.not_equal(rows["current_status"], STOPPED_AT), "stopped")
    rows = sieve.where(rows, pc.greater(rows["time_diff"], rule.late_minutes), "on_time")
    rows = sieve.passed(rows, firsts(rows.sort_by([("vehicle", "ascending"), ("id", "ascending")]), KEY), "twice")
    late = _late(rows, tz, now, rule)
    sieve.counts |= {"late": late.num_rows, "far": pc.sum(late["far"]).as_py() or 0}
    return Compared(late, sieve.counts)


def _at_stops(live: pa.Table, timetable: pa.Table, sieve: _Sieve) -> pa.Table:
    """The live rows, each with the columns of the timetable's row that it is at."""
    # First, as it leaves a few thousand of a million rows. The cast: from Parquet, texts may come as dictionaries.
    stops = timetable.filter(pc.is_in(timetable["trip_id"], live["trip_id"].combine_chunks())).cast(TIMETABLE)
    rows = sieve.where(live, pc.is_in(live["trip_id"], stops["trip_id"].combine_chunks()), "no_such_trip")
    latest = rows.sort_by([(name, "descending") for name in ("timestamp", "id", "trip_id")])
    rows = sieve.passed(rows, firsts(latest, ("vehicle",)), "seen_later")
    rows = sieve.where(rows, pc.is_valid(rows["current_stop"]), "no_next_stop")
    here = pa.table({"trip_id": rows["trip_id"], "stop_sequence": rows["current_stop"], "row": _numbers(rows)})
    there = stops.select(["trip_id", "stop_sequence"]).append_column("stop", _numbers(stops))
    pairs = here.join(there, ["trip_id", "stop_sequence"], join_type="inner")
    pairs = firsts(pairs.sort_by([("row", "ascending"), ("stop", "ascending")]), ("row",))
    found, stop = rows.take(pairs["row"]).drop_columns("trip_id"), stops.take(pairs["stop"])
    rows = sieve.passed(rows, _beside(stop, found), "no_such_stop")
    return sieve.where(rows, pc.is_valid(rows["arrival"]), "no_arrival_time")


def _dated(rows: pa.Table, tz: ZoneInfo, sieve: _Sieve) -> pa.Table:
    """The rows with start_date, arrival_time_fixed and time_diff; without those whose trip does not run that day."""
    days = rows["service_days"].combine_chunks()
    of_row, day = pc.list_parent_indices(days), pc.list_flatten(days)
    said = rows["start_date_live"].take(of_row)
    due = gtfs_time.scheduled(day, rows["arrival"].take(of_row), tz)
    behind = _minutes(rows["timestamp"].take(of_row), due)
    table = pa.table({"row": of_row, "start_date": day, "arrival_time_fixed": due, "time_diff": behind})
    table = table.append_column("gap", pc.abs(behind))
    table = table.filter(pc.coalesce(pc.equal(said, day), pc.less_equal(table["gap"], HALF_A_DAY)))
    table = table.sort_by([("row", "ascending"), ("gap", "ascending"), ("start_date", "ascending")])
    table = firsts(table, ("row",))
    return sieve.passed(rows, _beside(rows.take(table["row"]), table), "not_running_that_day")


def _late(rows: pa.Table, tz: ZoneInfo, now: datetime, rule: Rule) -> pa.Table:
    metres = _metres(*(rows[name] for name in ("latitude", "longitude", "stop_lat", "stop_lon")))
    made = {
        "arrival_time": gtfs_time.gtfs_text(rows["arrival"]),
        "departure_time": gtfs_time.gtfs_text(rows["departure"]),
        "departure_time_fixed": gtfs_time.scheduled(rows["start_date"], rows["departure"], tz),
        "distance_m": metres,
        "far": pc.fill_null(pc.greater(metres, rule.far_metres), False),
        "timezone": pa.repeat(tz.key, rows.num_rows),
        "observed_at": pa.repeat(pa.scalar(now, gtfs_time.INSTANT), rows.num_rows),
    }
    late = pa.table([made[name] if name in made else rows[name] for name in LATE.names], LATE)
    return late.sort_by([("time_diff", "descending"), *((name, "ascending") for name in KEY)])


def _minutes(later: pa.Scalar | pa.ChunkedArray, earlier: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    return pc.divide(pc.subtract(later, earlier).cast(pa.int64()).cast(pa.float64()), 60e6)


def _metres(*degrees: pa.ChunkedArray) -> pa.ChunkedArray:
    """Great-circle distance (haversine) from latitude, longitude to latitude, longitude."""
    lat, lon, to_lat, to_lon = (pc.multiply(values, math.pi / 180) for values in degrees)
    north, east = (pc.power(pc.sin(pc.divide(pc.subtract(*pair), 2)), 2) for pair in ((to_lat, lat), (to_lon, lon)))
    share = pc.add(north, pc.multiply(pc.multiply(pc.cos(lat), pc.cos(to_lat)), east))
    return pc.multiply(pc.asin(pc.sqrt(pc.min_element_wise(share, 1.0, skip_nulls=False))), 2 * EARTH_METRES)


def _numbers(rows: pa.Table) -> pa.Array:
    return pa.array(range(rows.num_rows), pa.int64())


def _beside(left: pa.Table, right: pa.Table) -> pa.Table:
    """The columns of both tables, row by row."""
    return pa.table([*left.columns, *right.columns], [*left.column_names, *right.column_names])
