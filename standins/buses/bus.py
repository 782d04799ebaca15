"""One bus on its trip: when it leaves, where it is, what it sends.

Each trip of a day has a delay of its own: a fifth more than 10 minutes. Some buses, as in real feeds, send no news for
long, have a clock that is ahead, are where they cannot be, or leave out what the timetable is searched by.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from random import Random

from standins.buses.city import DWELL, MAX_LAT, MIN_LONG, PERIOD, WEEKDAYS, City, Trip, day_start, runs

LATE_SHARE = 0.2
INCOMING_AT, STOPPED_AT, IN_TRANSIT_TO = 0, 1, 2
SILENT_AFTER = 12 * 60  # seconds of its trip, for a bus that sends no more
AHEAD = timedelta(minutes=5)
# What is odd about a trip's bus, and how often.
ODD = {
    "silent": 0.03,
    "ahead": 0.02,
    "far": 0.02,
    "outside": 0.02,
    "twice": 0.04,
    "no trip": 0.02,
    "unknown": 0.02,
    "no stop": 0.02,
    "no day": 0.10,
}
CANCELLED_BUT_SENT = 0.1
CORNER = (MAX_LAT - 0.003, MIN_LONG + 0.003)  # in the box, far from every stop
OUTSIDE = (53.993, -1.541)  # Harrogate


@dataclass(frozen=True)
class Position:
    """One entity of the feed, as it is sent, with what is true of it: trip, day, running, older."""

    id: str
    vehicle: str
    trip: Trip
    day: date  # the service day
    running: bool  # the timetable has the trip on that day
    trip_id: str
    start_date: date | None
    latitude: float
    longitude: float
    stop: int | None  # stop_sequence of the stop it is at or comes to next
    status: int
    timestamp: datetime
    far: bool = False
    older: bool = False  # the feed holds a newer one of this vehicle

    @property
    def scheduled(self) -> datetime:
        """When it should have been at its stop."""
        return day_start(self.day) + timedelta(seconds=self.trip.start + self.trip.line.arrivals[self.stop or 0])


def delay(city: City, trip_id: str, day: date) -> int:
    """Seconds, up to 45 minutes; more than 10 minutes for LATE_SHARE of the trips."""
    return _delay(_luck(city, trip_id, day))


def _luck(city: City, trip_id: str, day: date) -> Random:
    return Random(f"{city.seed} {trip_id} {day}")


def _delay(rng: Random) -> int:
    share = rng.random()
    if share < LATE_SHARE:
        return 601 + int(2099 * rng.random() ** 2)
    return rng.randrange(300) if share < 0.9 else rng.randrange(300, 601)


def sent(city: City, block: int, number: int, day: date, seconds: int) -> Iterator[Position]:
    """What the bus of a trip sends at a time of its service day; nothing before it leaves or after its rest."""
    service, trip = city.service(block), city.trip(block, number)
    rng = _luck(city, trip.id, day)
    begun = trip.start + _delay(rng)
    if not 0 <= seconds - begun < PERIOD:
        return
    odd = _oddity(rng)
    running = runs(service, day)
    if not running:
        # A bus of a service that the holiday took off. It says its day: without one it could be any other day's.
        if not (service == WEEKDAYS and day.weekday() < 5 and rng.random() < CANCELLED_BUT_SENT):
            return
        odd = ""
    at = max(seconds - rng.randrange(25), begun)
    bus = _seen(trip, day, running, begun, min(at, begun + SILENT_AFTER) if odd == "silent" else at)
    if odd == "twice" and at - 60 >= begun:
        older = replace(_seen(trip, day, running, begun, at - 60), id=f"{bus.id}-older", older=True)
        yield from (older, bus) if rng.random() < 0.5 else (bus, older)
        return
    yield _spoilt(bus, odd)


def _oddity(rng: Random) -> str:
    draw = rng.random()
    for name, share in ODD.items():
        if draw < share:
            return name
        draw -= share
    return ""


def _seen(trip: Trip, day: date, running: bool, begun: int, at: int) -> Position:
    """The bus as it is `at` seconds of the service day, having left at `begun`."""
    line, since = trip.line, at - begun
    last = len(line.stops) - 1
    stop = min(bisect_left(line.arrivals, since - DWELL + 1), last)  # the first that it has not left
    ahead = line.arrivals[stop] - since
    place = (line.stops[stop].latitude, line.stops[stop].longitude)
    status = STOPPED_AT
    if ahead > 0:
        status = INCOMING_AT if ahead <= 30 else IN_TRANSIT_TO
        before = line.stops[stop - 1]
        part = ahead / (line.arrivals[stop] - line.arrivals[stop - 1] - DWELL)
        place = (place[0] + (before.latitude - place[0]) * part, place[1] + (before.longitude - place[1]) * part)
    vehicle = f"{3000 + 2 * trip.block + trip.number % 2}"
    when = day_start(day) + timedelta(seconds=at)
    entity = f"{trip.id}-{day:%Y%m%d}"
    return Position(entity, vehicle, trip, day, running, trip.id, day, *place, stop, status, when)


def _spoilt(bus: Position, odd: str) -> Position:
    """The position as a bus with that oddity sends it."""
    if odd == "far":
        return replace(bus, latitude=CORNER[0], longitude=CORNER[1], far=True)
    if odd == "outside":
        return replace(bus, latitude=OUTSIDE[0], longitude=OUTSIDE[1], far=True)
    if odd == "ahead":
        return replace(bus, timestamp=bus.timestamp + AHEAD)
    if odd in ("no trip", "unknown"):
        return replace(bus, trip_id="" if odd == "no trip" else f"VJ-duplicate-{bus.trip_id}")
    if odd == "no stop":
        return replace(bus, stop=None)
    return replace(bus, start_date=None) if odd == "no day" else bus
