"""The stand-in of the Bus Open Data Service: a key for the positions, none for the timetables, news every 10 seconds.

with serve_buses(City(), root, key="...", clock=lambda: now) as site:
    site.feed_url, site.timetable_url
    site.faults[FEED] = [Fault(status=503)]        # and as for any other site: standins.web.faults
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from standins.buses import gtfs, realtime
from standins.buses.city import ZONE, City
from standins.buses.simulation import Box, snapped
from standins.web.faults import Fault, send_body
from standins.web.handler import Handler
from standins.web.server import Site, running

FEED = "/api/v1/gtfsrtdatafeed/"
TIMETABLE = "/timetable/download/gtfs-file/yorkshire/"
PUBLISHED = timedelta(hours=6)  # of the day, when the timetables are made anew
Clock = Callable[[], datetime]


def real_time() -> datetime:
    """The clock on the wall."""
    return datetime.now(UTC)


def accelerated(start: datetime, speed: float) -> Clock:
    """A clock that shows `start` now, and then goes `speed` times as fast."""
    begun = real_time()
    return lambda: start + (real_time() - begun) * speed


@dataclass
class BusSite(Site):
    """A running stand-in. root: where its timetables are kept."""

    city: City = field(default_factory=City)
    key: str = "key"
    clock: Clock = real_time
    making: threading.Lock = field(default_factory=threading.Lock)  # a large zip takes long: the feed goes on

    @property
    def feed_url(self) -> str:
        """The positions, without box and key."""
        return f"{self.url}{FEED}"

    @property
    def timetable_url(self) -> str:
        """The zip."""
        return f"{self.url}{TIMETABLE}"

    def timetable(self) -> Path:
        """The zip of today, made if it is not there."""
        day = (self.clock().astimezone(ZONE) - PUBLISHED).date()
        path = self.root / f"{self.city.seed}-{self.city.vehicles}-{day}.zip"
        with self.making:
            if not path.exists():
                _make(self.city, day, path)
        return path


def serve_buses(
    city: City, root: Path, key: str, clock: Clock = real_time, host: str = "127.0.0.1", port: int = 0
) -> AbstractContextManager[BusSite]:
    """Serve a city from threads of this process until the block ends."""
    return running(BusSite(Path(root), city=city, key=key, clock=clock), BusHandler, host, port)


class BusHandler(Handler):
    """Answers as the service does."""

    site: BusSite

    def _answer(self, path: str, query: dict[str, list[str]], fault: Fault) -> None:
        if path == FEED:
            self._feed(query, fault)
        elif path == TIMETABLE:
            attachment = {"Content-Disposition": 'attachment; filename="itm_yorkshire_gtfs.zip"'}
            # No ETag and no Range, unless the fault of a test gives it one.
            plain = fault if fault.etag is not None else replace(fault, etag="", ignore_range=True)
            file = replace(plain, headers={**attachment, **fault.headers})
            self._file(self.site.timetable().name, file, "application/zip")
        else:
            self._text(404, b"Not Found")

    def _feed(self, query: dict[str, list[str]], fault: Fault) -> None:
        # The header goes before the parameter.
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        given = [token] if scheme == "Token" else query.get("api_key")
        if given != [self.site.key]:
            why = "Invalid token." if given else "Authentication credentials were not provided."
            return self._json(401, {"detail": why}, {"WWW-Authenticate": "Token"})
        try:
            box = _box(query["boundingBox"][0]) if "boundingBox" in query else None
        except ValueError:
            return self._json(400, {"errors": ["boundingBox: minLatitude,maxLatitude,minLongitude,maxLongitude"]})
        body = _message(self.site.city, snapped(self.site.clock()), box)
        self.asked.status = 200
        self.send_response(200)
        length = ("Transfer-Encoding", "chunked") if fault.chunked else ("Content-Length", str(len(body)))
        for name, value in (("Content-Type", "application/octet-stream"), length, *fault.headers.items()):
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            send_body(self, BytesIO(body), 0, len(body), fault, self.site.closing)
        return None

    def _json(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        self._text(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})


def _box(text: str) -> Box:
    south, north, west, east = map(float, text.split(","))
    return south, north, west, east


@lru_cache(maxsize=8)
def _message(city: City, at: datetime, box: Box | None) -> bytes:
    return realtime.feed(city, at, box)


def _make(city: City, day: date, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        gtfs.write(city, day, file)
    made = datetime.combine(day, time(), ZONE) + PUBLISHED
    os.utime(part, (made.timestamp(), made.timestamp()))  # Last-Modified
    part.replace(path)
