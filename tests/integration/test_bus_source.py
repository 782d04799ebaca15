"""The stand-in of the bus service answers as the service does; the job finds in it exactly the buses that are late."""

import io
import json
import logging
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from http.client import IncompleteRead
from pathlib import Path
from zipfile import ZipFile

import pyarrow as pa
import pytest
from google.transit.gtfs_realtime_pb2 import FeedMessage

from jobs.late_buses import compare, feed, timetable
from longshore.backoff import Backoff
from longshore.sources.web import open_url
from standins.buses import gtfs, realtime
from standins.buses.city import BOX, ZONE, City
from standins.buses.server import FEED, TIMETABLE, BusSite, accelerated, real_time, serve_buses
from standins.buses.simulation import inside, late, positions
from standins.web.server import HTML, Fault

KEY = "a key & more"
NOON = datetime(2026, 7, 15, 11, tzinfo=UTC)
LEEDS = ",".join(map(str, BOX))
LARGE = City(vehicles=250)


class Clock:
    """Shows what a test sets it to."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def site(tmp_path: Path, clock: Clock) -> Iterator[BusSite]:
    with serve_buses(City(), tmp_path / "zips", KEY, clock) as running:
        yield running


class Answer:
    """Status, headers and body."""

    def __init__(self, url: str, **headers: str) -> None:
        request = urllib.request.Request(url, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as got:
                self.status, self.headers, self.body = got.status, got.headers, got.read()
        except urllib.error.HTTPError as error:
            self.status, self.headers, self.body = error.code, error.headers, error.read()


def asked(site: BusSite, box: str = LEEDS, key: str = "a%20key%20%26%20more") -> Answer:
    return Answer(f"{site.feed_url}?boundingBox={box}&api_key={key}")


def buses(site: BusSite, box: str) -> set[str]:
    return {entity.id for entity in FeedMessage.FromString(asked(site, box).body).entity}


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "Authentication credentials were not provided."),
        ("&api_key=", "Invalid token."),
        ("&api_key=another", "Invalid token."),
        ("&apikey=a%20key%20%26%20more", "Authentication credentials were not provided."),
    ],
)
def test_no_positions_without_the_key(site: BusSite, query: str, reason: str) -> None:
    got = Answer(f"{site.feed_url}?boundingBox={LEEDS}{query}")
    assert (got.status, json.loads(got.body)) == (401, {"detail": reason})
    assert got.headers["WWW-Authenticate"] == "Token"
    assert all(KEY not in request.path and "key" not in request.path for request in site.requests)


def test_the_key_may_be_in_the_header(site: BusSite) -> None:
    assert Answer(site.feed_url, Authorization=f"Token {KEY}").status == 200
    assert Answer(f"{site.feed_url}?api_key=a%20key%20%26%20more", Authorization="Token other").status == 401


def test_only_a_box_in_the_right_order_has_buses(site: BusSite, clock: Clock) -> None:
    found = positions(site.city, clock.now)
    south, north, west, east = BOX
    assert buses(site, LEEDS) == {bus.id for bus in inside(found)}
    half = (south, 53.81, west, east)
    assert buses(site, ",".join(map(str, half))) == {bus.id for bus in inside(found, half)} < buses(site, LEEDS)
    assert not buses(site, f"{west},{south},{east},{north}")
    assert not buses(site, f"{south},{west},{north},{east}")
    everywhere = FeedMessage.FromString(Answer(site.feed_url, Authorization=f"Token {KEY}").body)
    assert {entity.id for entity in everywhere.entity} == {bus.id for bus in found}


@pytest.mark.parametrize("box", ["53.7,53.9,-1.7", "a,b,c,d", ""])
def test_a_box_of_other_than_four_numbers_is_refused(site: BusSite, box: str) -> None:
    assert asked(site, box).status == 400


def test_positions_change_every_ten_seconds_of_the_clock(site: BusSite, clock: Clock) -> None:
    first = asked(site).body
    clock.now += timedelta(seconds=9.9)
    assert asked(site).body == first
    clock.now += timedelta(seconds=0.1)
    later = asked(site)
    assert later.body != first
    assert FeedMessage.FromString(later.body).header.timestamp == NOON.timestamp() + 10
    assert later.headers["Content-Type"] == "application/octet-stream"


def test_timetable_needs_no_key_and_is_made_anew_at_six(site: BusSite, clock: Clock) -> None:
    got = Answer(site.timetable_url)
    assert (got.status, got.headers["Content-Type"]) == (200, "application/zip")
    assert got.headers["Content-Disposition"] == 'attachment; filename="itm_yorkshire_gtfs.zip"'
    assert ZipFile(io.BytesIO(got.body)).testzip() is None
    assert got.body == gtfs.packed(site.city, NOON.date())
    clock.now = datetime(2026, 7, 16, 4, 59, 59, tzinfo=UTC)
    assert Answer(site.timetable_url).body == got.body
    clock.now += timedelta(seconds=1)
    assert Answer(site.timetable_url).body == gtfs.packed(site.city, date(2026, 7, 16))
    assert Answer(site.timetable_url.replace("yorkshire", "atlantis")).status == 404


def test_faults_are_those_of_any_other_site(site: BusSite) -> None:
    site.faults[FEED] = [Fault(status=503), Fault(body=HTML), Fault(cut_after=100), Fault(chunked=True)]
    assert asked(site).status == 503
    assert asked(site).body == HTML
    with pytest.raises(IncompleteRead):
        asked(site)
    chunked = asked(site)
    assert chunked.headers["Transfer-Encoding"] == "chunked"
    assert chunked.body == asked(site).body
    site.faults[TIMETABLE] = [Fault(cut_after=5_000)]
    with open_url(site.timetable_url, logging.getLogger(__name__), Backoff(attempts=3, first=0.01)) as remote:
        assert b"".join(remote.chunks()) == gtfs.packed(site.city, NOON.date())
    assert [request.status for request in site.asked(TIMETABLE)] == [200, 200]


def test_a_clock_may_go_faster() -> None:
    begun = real_time()
    fast = accelerated(NOON, 3_600)
    assert fast() >= NOON
    # Read between two looks at the real clock, so it lies between what they allow.
    shown, ended = fast(), real_time()
    assert shown - NOON <= (ended - begun) * 3_600


def test_it_is_started_by_a_command_that_prints_the_settings(tmp_path: Path) -> None:
    options = ["--port", "0", "--key", "k", "--vehicles", "20", "--root", str(tmp_path), "--start", "2026-07-15T12:00"]
    command = [sys.executable, "-m", "standins.buses", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        settings = dict(process.stdout.readline().strip().split("=", 1) for _ in range(2))
        got = Answer(f"{settings['BUS_FEED_URL']}?boundingBox={LEEDS}&api_key=k")
        zipped = Answer(settings["BUS_TIMETABLE_URL"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    made = datetime.fromtimestamp(FeedMessage.FromString(got.body).header.timestamp, UTC)
    assert timedelta(0) <= made - NOON < timedelta(minutes=10)
    assert zipped.body == gtfs.packed(City(vehicles=20), NOON.date())


def every(minutes: int, first: datetime, hours: int) -> list[datetime]:
    return [first + timedelta(minutes=n) for n in range(0, hours * 60, minutes)]


TIMES = {
    "an ordinary day": every(60, datetime(2026, 7, 15, 0, 0, 3, tzinfo=UTC), 24),
    "winter": every(120, datetime(2026, 1, 15, 0, 0, 9, tzinfo=UTC), 24),
    "after midnight": every(10, datetime(2026, 7, 15, 22, 30, tzinfo=UTC), 4),
    "clocks forward": every(15, datetime(2026, 3, 28, 22, 30, 7, tzinfo=UTC), 7),
    "clocks back": every(15, datetime(2026, 10, 24, 22, 30, 7, tzinfo=UTC), 7),
    "the day of clocks forward": every(120, datetime(2026, 3, 29, 6, 0, 1, tzinfo=UTC), 18),
    "the day of clocks back": every(120, datetime(2026, 10, 25, 6, 0, 1, tzinfo=UTC), 18),
    "holiday": every(60, datetime(2026, 7, 14, 0, 0, 5, tzinfo=UTC), 24),
    "the night after a holiday": every(15, datetime(2026, 7, 14, 22, 0, tzinfo=UTC), 5),
}


@pytest.mark.parametrize("when", TIMES)
def test_the_job_finds_exactly_the_buses_that_are_late(when: str) -> None:
    found = 0
    for now in TIMES[when]:
        truth = _by_the_city(now, now)
        assert _by_the_job(now, now) == truth, now
        found += len(truth)
    assert found > 25


def test_positions_get_too_old_while_the_clock_goes_on() -> None:
    counts = []
    for minutes in (0, 4, 6, 25, 29, 30, 31, 60):
        clock = NOON + timedelta(minutes=minutes)
        truth = _by_the_city(NOON, clock)
        assert _by_the_job(NOON, clock) == truth, clock
        counts.append(len(truth))
    # Buses whose clocks are ahead count once it is as late as they say, and so for longer.
    assert counts[2] > counts[1] > 0
    assert counts[4] > counts[6] > counts[7] == 0


Found = list[tuple[str, date, int, datetime, float, bool]]


def _by_the_job(now: datetime, clock: datetime) -> Found:
    """What the job finds in feed and timetable."""
    live = feed.positions(realtime.feed(LARGE, now, BOX), "the feed")
    table = compare.late_buses(live, _timetable(now.astimezone(ZONE).date()), clock, compare.Rule()).late
    names = ("trip_id", "start_date", "stop_sequence", "timestamp", "time_diff", "far")
    rows = [tuple(row[name] for name in names) for row in table.select(names).to_pylist()]
    return sorted((trip, day, stop, at, round(minutes, 6), far) for trip, day, stop, at, minutes, far in rows)


def _by_the_city(now: datetime, clock: datetime) -> Found:
    """What is true."""
    return sorted(
        (bus.trip_id, bus.start_date, bus.stop_sequence, bus.timestamp, round(bus.minutes, 6), bus.far)
        for bus in late(inside(positions(LARGE, now)), clock)
    )


@cache
def _timetable(day: date) -> pa.Table:
    days = [day + timedelta(days=n) for n in (-1, 0, 1)]
    return timetable.timetable(io.BytesIO(_published(day.replace(day=1))), "the zip", "First Leeds", days)


@cache
def _published(day: date) -> bytes:
    return gtfs.packed(LARGE, day)
