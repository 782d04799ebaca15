"""All buses at an instant, and which are late: worked out here, with datetimes and nothing of the job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from standins.buses.bus import STOPPED_AT, Position, sent
from standins.buses.city import AGENCY, BOX, PERIOD, TRIPS, ZONE, City, day_start

Box = tuple[float, float, float, float]  # least and greatest latitude, least and greatest longitude
REFRESH = 10  # seconds: the website's


@dataclass(frozen=True)
class Late:
    """A bus that is late, as the job must find it."""

    trip_id: str
    start_date: date
    stop_sequence: int
    timestamp: datetime
    minutes: float
    far: bool


def snapped(now: datetime) -> datetime:
    """When the positions of an instant were last refreshed."""
    return datetime.fromtimestamp(int(now.timestamp()) // REFRESH * REFRESH, UTC)


def positions(city: City, now: datetime) -> list[Position]:
    """All entities of the feed at an instant, before the box is applied."""
    at = snapped(now)
    found: list[Position] = []
    today = at.astimezone(ZONE).date()
    # Tomorrow's too: where the clocks go forward, 00:10 of a service day is 23:10 of the evening before.
    for day in (today + timedelta(days=n) for n in (-1, 0, 1)):
        seconds = int((at - day_start(day)).total_seconds())
        for block in range(city.blocks):
            last = (seconds - city.first(block)) // PERIOD
            for number in (last - 1, last):  # no delay is longer than a period
                if 0 <= number < TRIPS:
                    found += sent(city, block, number, day, seconds)
    return found


def late(feed: list[Position], now: datetime, minutes: float = 10, fresh: float = 30) -> list[Late]:
    """The late buses of First Leeds among the positions, most late first, by the clock `now`."""
    found = []
    for bus in feed:
        behind = (bus.timestamp - bus.scheduled).total_seconds() / 60
        known = bus.running and not bus.older and bus.trip_id == bus.trip.id and bus.stop is not None
        new = timedelta(0) <= now - bus.timestamp <= timedelta(minutes=fresh)
        if known and new and bus.trip.line.agency == AGENCY and bus.status != STOPPED_AT and behind > minutes:
            found.append(Late(bus.trip_id, bus.day, bus.stop or 0, bus.timestamp, behind, bus.far))
    return sorted(found, key=lambda bus: (-bus.minutes, bus.trip_id))


def inside(feed: list[Position], box: Box = BOX) -> list[Position]:
    """Those in the box."""
    south, north, west, east = box
    return [bus for bus in feed if south <= bus.latitude <= north and west <= bus.longitude <= east]
