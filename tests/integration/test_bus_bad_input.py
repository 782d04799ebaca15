"""Bad input of the late buses: a message that says what and where, bucket and history as before, and a failed run."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from jobs.late_buses import store
from jobs.late_buses.flow import compare_bus_times, get_bus_timetables, master_flow, write_late_buses_bq
from standins.buses import realtime
from standins.buses.server import FEED, TIMETABLE, BusSite
from standins.web.faults import HTML, Fault
from tests.conftest import Cloud, Database
from tests.integration.appending import contents
from tests.integration.bad_input_table import noted
from tests.integration.test_late_buses import MORNING, ran
from tests.unit.gtfs_files import FILES, changed, packed

KEY = "k3y-of-ours"  # the fixture's
GTFS = packed({}).getvalue()


class Looked:
    """What a run must leave as it was when it fails."""

    def __init__(self, buses: BusSite, cloud: Cloud, database: Database) -> None:
        self.buses, self.cloud, self.database = buses, cloud, database

    def contents(self) -> tuple[Any, ...]:
        return self.cloud.objects(), contents(self.database)

    def put(self, path: str, data: bytes) -> None:
        self.cloud.bucket.blob(path).upload_from_string(data)

    def refused(self, flow: Any = master_flow, **parameters: Any) -> str:
        """What is said of a run that fails."""
        before = self.contents()
        usual: dict[str, Any] = {"sinks": ["postgres"]} if flow in (master_flow, write_late_buses_bq) else {}
        usual |= {} if flow is write_late_buses_bq else {"now": MORNING}
        state = ran(flow, **usual | parameters)
        assert state.is_failed()
        assert self.contents() == before
        return noted(str(state.message))


@pytest.fixture(scope="module")
def kept() -> dict[str, tuple[bytes, Any]]:
    """The objects of one look, with their metadata, so that not each test need take it."""
    return {}


@pytest.fixture
def looked(
    buses: BusSite,
    cloud: Cloud,
    database: Database,
    kept: dict[str, tuple[bytes, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> Looked:
    """A look at the buses has been taken: positions, timetable and list are in the bucket."""
    monkeypatch.setenv("WAREHOUSE_URL", database.url)
    if not kept:
        assert ran(master_flow, now=MORNING, sinks=["postgres"]).is_completed()
        kept |= {blob.name: (blob.download_as_bytes(), blob.metadata) for blob in cloud.bucket.list_blobs()}
        database.run("DROP TABLE raw_late_buses")
    for name, (content, metadata) in kept.items():
        blob = cloud.bucket.blob(name)
        blob.metadata = metadata
        blob.upload_from_string(content)
    return Looked(buses, cloud, database)


@pytest.fixture(autouse=True)
def secret(caplog: pytest.LogCaptureFixture) -> Any:
    """The API key is in no log line."""
    with caplog.at_level("DEBUG"):
        yield
    assert KEY not in caplog.text


def answers(**fault: Any) -> Fault:
    """What is answered, however often it is asked."""
    return Fault(times=None, **fault)


def data(body: bytes) -> Fault:
    """Sent as what it should be, whatever it is."""
    return answers(body=body, headers={"Content-Type": "application/octet-stream"})


# what -> the feed's answer, and what the message says of it
FEEDS: dict[str, tuple[Callable[[BusSite], Fault], str]] = {
    "web page in the feed's place": (lambda _: answers(body=HTML), "answered with a web page (text/html), not with"),
    "web page sent as data": (lambda _: data(HTML), "is a web page or XML, not a GTFS-Realtime feed"),
    "an error in JSON": (lambda _: data(b'{"error": "busy"}'), "is JSON, not a GTFS-Realtime feed"),
    "empty feed": (lambda _: data(b""), "is empty (0 bytes)"),
    "truncated protobuf": (
        lambda site: data(realtime.feed(site.city, MORNING)[:1_000]),
        "is cut short, or no GTFS-Realtime feed: its 1,000 bytes",
    ),
    "connection that dies for good": (lambda _: answers(cut_after=100), "gave up"),
    "feed at another address": (
        lambda _: answers(status=404),
        "HTTP 404 Not Found: there is no feed: correct feed_url",
    ),
    "service down for good": (lambda _: answers(status=503), "HTTP 503"),
}


@pytest.mark.parametrize("what", FEEDS)
def test_a_feed_that_cannot_be_read_is_named(what: str, looked: Looked) -> None:
    answer, says = FEEDS[what]
    looked.buses.faults[FEED] = [answer(looked.buses)]
    message = looked.refused()
    assert looked.buses.feed_url in message
    assert says in message
    assert KEY not in message


def test_a_key_that_is_refused(looked: Looked) -> None:
    looked.buses.key = "another"
    message = looked.refused()
    assert "the API key is refused: correct BODS_API_KEY" in message
    assert KEY not in message


def test_no_key(looked: Looked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BODS_API_KEY")
    assert "There is no block secret/bods-api-key, and BODS_API_KEY is not set" in looked.refused()


@pytest.mark.parametrize(
    ("area", "says"),
    [
        ({"south": 53.7, "north": 53.9}, "area is min_lat, max_lat, min_long, max_long, in degrees, not south, north"),
        ({"min_lat": 53.9, "max_lat": 53.7, "min_long": -1.7, "max_long": -1.3}, "no such box"),
    ],
    ids=["an area of other names", "an area upside down"],
)
def test_an_area_that_is_none(area: dict[str, float], says: str, looked: Looked) -> None:
    assert says in looked.refused(area=area)


def damaged() -> bytes:
    at = GTFS.index(b"agency.txt") + 20
    return GTFS[:at] + b"\xff\xff" + GTFS[at + 2 :]


# what -> the zip, and what the message says of it
ZIPS: dict[str, tuple[bytes, str]] = {
    "web page in the zip's place": (HTML, "is a web page (HTML), not a zip"),
    "empty zip": (b"", "is empty (0 bytes)"),
    "csv in the zip's place": (FILES["stops.txt"].encode(), "is not a zip: it begins with b'stop_id,stop'"),
    "truncated zip": (GTFS[:-100], "is a zip that is cut off or damaged"),
    "damaged zip": (damaged(), ": agency.txt is damaged in the zip: "),
    "zip bomb": (packed({"stops.txt": "stop_id\n" + "0" * 20_000_000}).getvalue(), "it is refused as a zip bomb"),
    "path traversal": (packed({"../../etc/passwd": "x"}).getvalue(), "'../../etc/passwd', a name that leads out"),
    "missing file": (packed({"stops.txt": None}).getvalue(), "has no stops.txt; it holds agency.txt, calendar.txt"),
    "no calendar": (
        packed({"calendar.txt": None, "calendar_dates.txt": None}).getvalue(),
        "has neither calendar.txt nor calendar_dates.txt",
    ),
    "missing column": (
        changed("stop_times.txt", "arrival_time", "arrival").getvalue(),
        "stop_times.txt lacks the column arrival_time; it has trip_id, arrival, departure_time",
    ),
    "bad time": (
        changed("stop_times.txt", "t2,25:10:00", "t2,25:61:00").getvalue(),
        "stop_times.txt, row 2, trip_id 't2', column 'arrival_time': '25:61:00' is not a time such as 25:10:00",
    ),
    "bad stop_sequence": (
        changed("stop_times.txt", "0451,10", "0451,ten").getvalue(),
        "stop_times.txt, row 2, trip_id 't2', column 'stop_sequence': 'ten' is not a whole number",
    ),
    "a stop twice in a trip": (
        changed("stop_times.txt", "0451,10", "0451,2").getvalue(),
        "stop_times.txt: trip_id 't2' has stop_sequence 2 twice",
    ),
    "row of other width": (
        changed("stop_times.txt", "0451,10,", "0451,10").getvalue(),
        "stop_times.txt, row 2: Expected 6 columns, got 5: t2,25:10:00,25:10:00,0451,10",
    ),
    "bad date": (
        changed("calendar.txt", "0,1,20260101", "0,1,01/01/26").getvalue(),
        "calendar.txt, row 2, column 'start_date': '01/01/26' is not a date as YYYYMMDD",
    ),
    "unknown time zone": (
        changed("agency.txt", "Leeds,Europe/London", "Leeds,Leeds").getvalue(),
        "agency.txt, agency_timezone of 'First Leeds': there is no time zone 'Leeds'",
    ),
}


@pytest.mark.parametrize("what", ZIPS)
def test_a_timetable_that_cannot_be_used_is_named(what: str, looked: Looked) -> None:
    file, says = ZIPS[what]
    looked.buses.faults[TIMETABLE] = [data(file)]
    message = looked.refused(get_bus_timetables)
    assert looked.buses.timetable_url in message
    assert says in message


def test_no_timetable_at_the_address(looked: Looked) -> None:
    looked.buses.faults[TIMETABLE] = [answers(status=404)]
    says = "answered HTTP 404 Not Found: there is no timetable: correct timetable_url or BUS_TIMETABLE_URL"
    assert says in looked.refused(get_bus_timetables)


def test_an_unknown_agency(looked: Looked) -> None:
    message = looked.refused(get_bus_timetables, agency="First Leds")
    assert "has no agency 'First Leds'. Set agency to one that agency.txt names: Anytown & District" in message
    assert "First Leeds" in message


def test_no_timetable_yet(looked: Looked) -> None:
    looked.cloud.bucket.blob(store.TIMETABLE).delete()
    assert f"{store.TIMETABLE} is not there. Run get-bus-timetables first" in looked.refused(compare_bus_times)


def test_no_positions_yet(looked: Looked) -> None:
    looked.cloud.bucket.blob(store.LIVE).delete()
    assert f"{store.LIVE} is not there. Run get-live-bus-locations first" in looked.refused(compare_bus_times)


@pytest.mark.parametrize("path", [store.LIVE, store.TIMETABLE], ids=["damaged positions", "damaged timetable"])
def test_an_object_that_is_damaged(path: str, looked: Looked) -> None:
    looked.put(path, b"PAR1 nonsense PAR1")
    message = looked.refused(compare_bus_times)
    assert f"{path} is damaged Parquet" in message
    assert "Run get-" in message


def test_a_timetable_of_other_days(looked: Looked) -> None:
    message = looked.refused(compare_bus_times, now=MORNING + timedelta(days=9))
    assert "is for 2026-02-02 to 2026-02-06, not for 2026-02-13. Run get-bus-timetables first" in message


def test_a_time_without_an_offset(looked: Looked) -> None:
    message = looked.refused(compare_bus_times, now=datetime(2026, 2, 4, 8, 5))
    assert "with its offset, such as 2026-02-04T08:05:00+00:00" in message


@pytest.mark.parametrize(
    ("back", "says"),
    [(timedelta(0), "1 (in future)"), (timedelta(hours=1), " 0 loaded")],
    ids=["a bus whose clock is ahead (no error)", "our clock is put back during the run (no error)"],
)
def test_positions_from_the_future_are_dropped_and_counted(back: timedelta, says: str, looked: Looked) -> None:
    state = ran(compare_bus_times, now=MORNING - back)
    assert state.is_completed()
    (report,) = state.result()
    assert report.dropped["in future"] > 0
    assert says in noted(str(report).rpartition(" in ")[0])  # its seconds differ each time


# what -> the bytes of late_buses.csv made of those that are there, and what the message says of it
LISTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "an empty list": (lambda _: b"", "is empty or cut short: it ends within a row. Write it anew"),
    "a list cut short": (lambda whole: whole[:-9], "is empty or cut short: it ends within a row. Write it anew"),
    "a list with other columns": (lambda _: b'"trip_id"\n"T"\n', "has other columns than declared: it lacks stop_seq"),
    "a value in the list": (
        lambda whole: whole.split(b"\n")[0] + b'\n"T","seven"' + b"," * 34 + b"\n",
        "row 1, column 'stop_sequence': 'seven' does not fit the type integer",
    ),
}


@pytest.mark.parametrize("what", LISTS)
def test_a_list_that_cannot_be_read_is_not_appended(what: str, looked: Looked) -> None:
    change, says = LISTS[what]
    assert ran(write_late_buses_bq, sinks=["postgres"]).is_completed()
    looked.put(store.LATE, change(looked.cloud.objects()[store.LATE]))
    message = looked.refused(write_late_buses_bq)
    assert f"gs://{looked.cloud.bucket.name}/{store.LATE}" in message
    assert says in message


def test_no_list_yet(looked: Looked) -> None:
    looked.cloud.bucket.blob(store.LATE).delete()
    assert f"{store.LATE} is not there. Run compare-bus-times first" in looked.refused(write_late_buses_bq)


def test_a_sink_that_is_none(looked: Looked) -> None:
    assert "sinks are bigquery and postgres, not 'excel'" in looked.refused(sinks=["excel"])


def test_the_command_line_shows_the_failure_and_never_the_key(looked: Looked) -> None:
    looked.buses.key = "another"
    command = [sys.executable, "-m", "jobs.late_buses", "--now", MORNING.isoformat(), "--sinks", "postgres"]
    environment = {**os.environ, "PREFECT_LOGGING_LEVEL": "DEBUG"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the API key is refused" in done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr
