"""A GTFS-Realtime feed of vehicle positions -> the table LIVE."""

import math
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf.message import DecodeError
from google.transit import gtfs_realtime_pb2 as realtime

from jobs.late_buses.columns import LIVE
from longshore.errors import LoadError

LAST_INSTANT = 253_402_300_799  # the end of 9999: what Python, Postgres and BigQuery can hold
DIGITS = re.compile("[0-9]{8}")
LARGEST_STOP = 2**31 - 1
NO_FEED = {  # how what is often sent in a feed's place begins
    b"<": "a web page or XML",
    b"{": "JSON",
    b"[": "JSON",
    b"PK": "a zip",
    b"\x1f\x8b": "gzipped",
}


def positions(message: bytes, name: str) -> pa.Table:
    """One row a vehicle and trip, the latest, by vehicle; no rows when no bus is out. The schema's metadata say how
    many positions the feed holds (`positions`) and when it was made (`made`, where it says so).

    Of each trip, because the feed names no operator, and two operators may have a vehicle of the same number.

    Left out: positions without trip, place or time (nothing can be said of their lateness), and deleted ones. A
    vehicle without an id goes by its entity's. A start date that is none is null.
    name: of the feed, for errors. Raises LoadError when the bytes are no whole feed.
    """
    feed = _feed(message, name)
    found = [entity for entity in feed.entity if entity.HasField("vehicle") and not entity.is_deleted]
    rows = sorted(_rows(found), key=lambda row: (row["vehicle"], row["timestamp"], row["id"], row["trip_id"]))
    latest = {(row["vehicle"], row["trip_id"]): row for row in rows}
    made = _instant(feed.header.timestamp)
    notes = {"positions": str(len(found))} | ({"made": made.isoformat()} if made else {})
    return pa.Table.from_pylist(list(latest.values()), LIVE.with_metadata(notes))


def observed_at(live: pa.Table) -> datetime | None:
    """When the feed was made; where it does not say, its newest position. None for neither."""
    made = (live.schema.metadata or {}).get(b"made")
    newest: datetime | None = pc.max(live["timestamp"]).as_py()
    return datetime.fromisoformat(made.decode()) if made else newest and newest.astimezone(UTC)


def _feed(message: bytes, name: str) -> Any:
    if not message:
        raise LoadError(f"{name} is empty (0 bytes), where even a feed without buses has a header.", retryable=True)
    start = message.lstrip(b"\xef\xbb\xbf \t\r\n")
    for sign, kind in NO_FEED.items():
        if start.startswith(sign):
            raise LoadError(
                f"{name} is {kind}, not a GTFS-Realtime feed: it begins with {_shown(start)}."
                " Check the address and the key: it should answer with protobuf."
            )
    try:
        feed = realtime.FeedMessage.FromString(message)
    except DecodeError:
        feed = None
    if feed is None or not feed.HasField("header"):
        raise LoadError(
            f"{name} is cut short, or no GTFS-Realtime feed: its {len(message):,} bytes, which begin with"
            f" {_shown(message)}, cannot be read as protobuf. Run it again; if it stays so, check the address.",
            retryable=True,
        )
    return feed


def _rows(entities: list[Any]) -> Iterator[dict[str, Any]]:
    for entity in entities:
        bus = entity.vehicle
        place = bus.position
        trip = _text(bus.trip.trip_id).strip()
        at = _instant(bus.timestamp)
        if not trip or not at or not _on_earth(place):
            continue
        stop = bus.current_stop_sequence if bus.HasField("current_stop_sequence") else None
        yield {
            "id": _text(entity.id),
            "trip_id": trip,
            "route_id_live": _text(bus.trip.route_id) or None,
            "start_time": _text(bus.trip.start_time) or None,
            "start_date_live": _day(_text(bus.trip.start_date)),
            "latitude": round(place.latitude, 6),  # sent as a 32-bit float: 53.8 comes as 53.79999923706055
            "longitude": round(place.longitude, 6),
            "current_stop": stop if stop is None or stop <= LARGEST_STOP else None,
            "current_status": bus.current_status,  # IN_TRANSIT_TO (2) where none is sent
            "timestamp": at,
            "vehicle": _text(bus.vehicle.id) or _text(entity.id),
        }


def _instant(epoch: int) -> datetime | None:
    return datetime.fromtimestamp(epoch, UTC) if 0 < epoch <= LAST_INSTANT else None


def _on_earth(place: Any) -> bool:
    there: bool = place.HasField("latitude") and place.HasField("longitude")
    return there and math.isfinite(place.longitude) and abs(place.latitude) <= 90 and abs(place.longitude) <= 180


def _text(value: str | bytes) -> str:
    """Protobuf gives text that is not UTF-8 as bytes; a NUL no database takes."""
    text = value if isinstance(value, str) else value.decode(errors="replace")
    return text.replace("\0", "")


def _day(text: str) -> date | None:
    """YYYYMMDD."""
    try:
        return datetime.strptime(text, "%Y%m%d").date() if DIGITS.fullmatch(text) else None
    except ValueError:
        return None


def _shown(data: bytes) -> str:
    return repr(data[:40].decode("ascii", errors="replace"))
