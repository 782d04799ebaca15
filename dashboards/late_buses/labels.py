"""What the pages say about a bus. What others wrote stays text: in HTML, in JavaScript and in Markdown."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
"""A row of the table LATE."""

LISTED = 3  # of the buses that are late for one stop, in its tooltip


def escaped(text: str) -> str:
    """All but letters, digits and spaces as character references: harmless in HTML and in JavaScript's `…` alike."""
    return "".join(one if one == " " or (one.isascii() and one.isalnum()) else f"&#{ord(one)};" for one in text)


def plain(text: str) -> str:
    """For Streamlit, which takes texts as Markdown: an error may quote what stands in a file."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


def route(row: Row) -> str:
    """What passengers call the route."""
    return str(row["route_short_name"] or row["route_long_name"] or row["route_id"] or "?")


def offered(rows: Sequence[Row], chosen: Sequence[str]) -> list[str]:
    """The routes to choose from: those that have late buses now, and those that are chosen."""
    return in_order([*chosen, *(route(row) for row in rows)])


def in_order(routes: Sequence[str]) -> list[str]:
    """Each once, 2 before 10 and 10 before 10A."""
    parts = re.compile(r"(\d+)")
    return sorted(set(routes), key=lambda name: [(not one.isdigit(), one.zfill(9)) for one in parts.split(name) if one])


def local(moment: datetime | None, zone: str) -> str:
    """21 Nov 14:02:30 GMT, in that time zone."""
    return f"{moment.astimezone(ZoneInfo(zone)):%d %b %H:%M:%S %Z}" if moment else "unknown"


def distance(metres: float) -> str:
    return f"{metres:.0f} m" if metres < 1000 else f"{metres / 1000:.1f} km"


def at_stop(rows: Sequence[Row]) -> str:
    """The tooltip of a stop: all buses that are late for it, the latest first."""
    more = [f"and {len(rows) - LISTED} more"] if len(rows) > LISTED else []
    return "<hr>".join([*(_late(row) for row in rows[:LISTED]), *more])


def at_bus(row: Row) -> str:
    """The tooltip of a bus's own position."""
    seen = {"Bus": row["vehicle"], "Route": _named(row), "Seen": local(row["timestamp"], row["timezone"])}
    if row["distance_m"] is not None:
        seen["To the stop"] = distance(row["distance_m"])
    return _lines(seen)


def _late(row: Row) -> str:
    said = {
        "Route": _named(row),
        "Stop": row["stop_name"],
        "Vehicle": row["vehicle"],
        "Scheduled": local(row["arrival_time_fixed"], row["timezone"]),
        "Actual": local(row["timestamp"], row["timezone"]),
        "Late": f"{row['time_diff']:.0f} min",
    }
    if row["far"]:
        said["Doubtful"] = f"the bus is {distance(row['distance_m'])} from the stop"
    return _lines(said)


def _named(row: Row) -> str:
    return " - ".join([route(row), *([row["trip_headsign"]] if row["trip_headsign"] else [])])


def _lines(said: Mapping[str, str | None]) -> str:
    return "<br>".join(f"<b>{name}:</b> {escaped(value or 'unknown')}" for name, value in said.items())
