"""Anytown, near Leeds: routes, stops, trips and the days on which they run. The same for a seed on every machine.

A block is a day's work: TRIPS trips, one every PERIOD seconds from early morning until after midnight. Two buses share
it, so that one may be very late and the other still leaves on time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from random import Random
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/London")
MIN_LAT, MAX_LAT, MIN_LONG, MAX_LONG = BOX = (53.725, 53.938, -1.712, -1.296)  # in the order of the website
AGENCY, OTHER_AGENCY = "OP931", "OP42"
AGENCIES = {AGENCY: "First Leeds", OTHER_AGENCY: "Anytown & District"}
PERIOD = 63 * 60  # seconds from one trip of a block to the next: its 24 gaps and a rest
TRIPS = 20  # a block: the last one leaves up to 27:00
STOPS = 25  # a route
DWELL = 20  # seconds at a stop
EARLY, NIGHT = 5 * 3600, 600  # when blocks begin; those of the night on times that a change of the clocks moves

DAILY, WEEKDAYS, WEEKENDS, EXTRA, ENDED = "0101", "0102", "0103", "0104", "0105"
_SERVICES = (DAILY,) * 10 + (WEEKDAYS,) * 7 + (WEEKENDS, EXTRA, ENDED)  # of twenty blocks, 17 run on a weekday
# Short name, headsign outward, headsign back. Names that are numbers, and such as a page must escape. Thirteen: with
# twenty services, each route has blocks of each.
_ROUTES = (
    ("72", "Bradford", "Leeds"),
    ("X84", "Otley Bus Station", "Leeds"),
    ("1", 'Roundhay <b>Park</b> & "Oakwood"', "Beeston"),
    ("4", "Pudsey, Bus Station", "Seacroft"),
    ("007", "Shadwell", "King's Arms"),
    ("16A", "Cross Gates", "Farsley"),
    ("28", "Adel", "Leeds Dock"),
    ("49", "Monkswood Gate", "Bramley"),
    ("50E1", "Horsforth", "Seacroft"),  # a number to whoever guesses
    ("PH1", "Cherry Row", "Cherry Row"),
    ("62", "Armley", "Gipton"),
    ("72", "Harrogate", "Anytown"),  # the other agency's, of the same name
    ("N7", "Wetherby", "Anytown"),
)


@dataclass(frozen=True)
class Stop:
    """A bus stop. name may hold what CSV and HTML must quote."""

    id: str
    code: str
    name: str
    latitude: float
    longitude: float


@dataclass(frozen=True)
class Line:
    """One direction of a route: its stops, and when a bus is at each, in seconds after its first arrival."""

    route_id: str
    name: str
    agency: str
    headsign: str
    direction: int
    stops: tuple[Stop, ...]
    arrivals: tuple[int, ...]


@dataclass(frozen=True)
class Trip:
    """One journey of the timetable. start: seconds after noon minus 12 h of the service day."""

    id: str
    block: int
    number: int
    line: Line
    service: str
    start: int


def day_start(day: date) -> datetime:
    """Where a service day's seconds count from: 12 elapsed hours before noon by the clock."""
    return datetime.combine(day, time(12), ZONE).astimezone(ZoneInfo("UTC")) - timedelta(hours=12)


def holiday(day: date) -> bool:
    """Every seventh day of a month: no weekday service, the weekend's and an extra one instead."""
    return day.day % 7 == 0


def runs(service: str, day: date) -> bool:
    """Whether a service runs on a day: what calendar.txt and calendar_dates.txt together must say."""
    weekend = day.weekday() >= 5 or holiday(day)
    return {DAILY: True, WEEKDAYS: not weekend, WEEKENDS: weekend, EXTRA: holiday(day), ENDED: False}[service]


@dataclass(frozen=True)
class City:
    """vehicles: about as many are on the road on a weekday; 2,000 of them have about 1 M stop times of First Leeds."""

    seed: int = 1
    vehicles: int = 60

    @property
    def blocks(self) -> int:
        """Days' work, of all services."""
        return -(-self.vehicles * len(_SERVICES) // 17)

    @cached_property
    def lines(self) -> tuple[tuple[Line, Line], ...]:
        """All routes, out and back."""
        return tuple(self._lines(at, *texts) for at, texts in enumerate(_ROUTES))

    def trip(self, block: int, number: int) -> Trip:
        """The trip `number` of a block."""
        pair = self.lines[block % len(self.lines)]
        name = f"VJ{self.seed:02}{block:05}{number:02}"
        return Trip(name, block, number, pair[(block + number) % 2], self.service(block), self.first(block, number))

    def service(self, block: int) -> str:
        """The service of a block."""
        return _SERVICES[block * 7 % len(_SERVICES)]

    def first(self, block: int, number: int = 0) -> int:
        """When a trip of the block begins."""
        begin = NIGHT + block * 37 % 600 if block % 10 == 9 else EARLY + block * 617 % PERIOD
        return begin + number * PERIOD

    def trips(self) -> Iterator[Trip]:
        """The timetable: the trips of all blocks, whether they run today or not."""
        return (self.trip(block, number) for block in range(self.blocks) for number in range(TRIPS))

    def _lines(self, at: int, name: str, out: str, back: str) -> tuple[Line, Line]:
        rng = Random(f"{self.seed} route {at}")
        agency = OTHER_AGENCY if at >= len(_ROUTES) - 2 else AGENCY
        # Well inside the box: a position put into its corner is far from every stop.
        ends = [(rng.uniform(53.75, 53.90), rng.uniform(-1.68, -1.37)) for _ in range(2)]
        gaps = [rng.randrange(90, 151, 5) for _ in range(STOPS - 1)]
        stops = tuple(self._stop(at, number, ends, rng) for number in range(STOPS))
        pair = []
        for direction, sign in enumerate((out, back)):
            there, way = (stops, gaps) if not direction else (stops[::-1], gaps[::-1])
            arrivals = tuple(sum(way[:number]) for number in range(STOPS))
            pair.append(Line(f"{7200 + at}", name, agency, sign, direction, there, arrivals))
        return pair[0], pair[1]

    def _stop(self, at: int, number: int, ends: list[tuple[float, float]], rng: Random) -> Stop:
        part = number / (STOPS - 1)
        where = [a + (b - a) * part + rng.uniform(-0.001, 0.001) for a, b in zip(*ends, strict=True)]
        name = (f"Church Lane {at}.{number}", f'St. George\'s, "Stop {number}"', f"<i>Market</i> & Mill {at}")[
            number % 3
        ]
        return Stop(f"0450{at:03}{number:02}", f"450{at:03}{number:02}", name, round(where[0], 6), round(where[1], 6))
