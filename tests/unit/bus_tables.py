"""Buses, stops and feeds for the tests of late buses: one trip that is right in every way, unless told otherwise."""

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
from google.transit import gtfs_realtime_pb2 as realtime

from jobs.late_buses.columns import LIVE, TIMETABLE

DAY = date(2026, 1, 13)  # a Tuesday in winter: London's time is UTC
DUE = datetime(2026, 1, 13, 8, 0, tzinfo=UTC)


def bus(**columns: Any) -> dict[str, Any]:
    """A row of LIVE: on its way to stop 7 of trip T, on time, 200 m off."""
    usual = {
        "id": "e1",
        "trip_id": "T",
        "route_id_live": "R",
        "start_time": "07:30:00",
        "start_date_live": DAY,
        "latitude": 53.8018,
        "longitude": -1.5,
        "current_stop": 7,
        "current_status": 2,
        "timestamp": DUE,
        "vehicle": "bus 1",
    }
    return usual | columns


def stop(**columns: Any) -> dict[str, Any]:
    """A row of TIMETABLE: stop 7 of trip T, due at 8."""
    usual = {
        "trip_id": "T",
        "stop_sequence": 7,
        "arrival": 8 * 3600,
        "departure": 8 * 3600 + 30,
        "stop_id": "450010441",
        "stop_name": "Corn Exchange",
        "stop_lat": 53.8,
        "stop_lon": -1.5,
        "route_id": "R",
        "route_short_name": "49",
        "agency_id": "OP1",
        "service_days": [DAY],
    }
    return usual | columns


def live(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), LIVE)


def timetable(*rows: dict[str, Any], zone: str = "Europe/London") -> pa.Table:
    return pa.Table.from_pylist(list(rows), TIMETABLE.with_metadata({"timezone": zone}))


def feed(*buses: dict[str, Any], made: datetime = DUE) -> bytes:
    """A feed with these positions; a column that is None is not sent."""
    message = realtime.FeedMessage()
    message.header.gtfs_realtime_version = "2.0"
    message.header.timestamp = int(made.timestamp())
    for row in buses:
        entity = message.entity.add(id=row["id"])
        sent = entity.vehicle
        day = row["start_date_live"]
        fields: dict[str, tuple[Any, Any]] = {
            "trip_id": (sent.trip, row["trip_id"]),
            "route_id": (sent.trip, row["route_id_live"]),
            "start_time": (sent.trip, row["start_time"]),
            "start_date": (sent.trip, f"{day:%Y%m%d}" if isinstance(day, date) else day),
            "latitude": (sent.position, row["latitude"]),
            "longitude": (sent.position, row["longitude"]),
            "current_stop_sequence": (sent, row["current_stop"]),
            "current_status": (sent, row["current_status"]),
            "timestamp": (sent, int(row["timestamp"].timestamp()) if row["timestamp"] else None),
            "id": (sent.vehicle, row["vehicle"]),
        }
        for name, (part, value) in fields.items():
            if value is not None:
                setattr(part, name, value)
    whole: bytes = message.SerializePartialToString()
    return whole
