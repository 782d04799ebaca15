"""The positions as a GTFS-Realtime message, as the website sends it."""

from __future__ import annotations

from datetime import datetime

from google.transit.gtfs_realtime_pb2 import FeedMessage

from standins.buses.bus import Position
from standins.buses.city import City
from standins.buses.gtfs import gtfs_time
from standins.buses.simulation import Box, inside, positions, snapped


def feed(city: City, now: datetime, box: Box | None = None) -> bytes:
    """The message of an instant: the buses in the box, or all."""
    found = positions(city, now)
    return message(inside(found, box) if box else found, snapped(now))


def message(sent: list[Position], at: datetime) -> bytes:
    """A FeedMessage of these positions, made at an instant."""
    made = FeedMessage()
    made.header.gtfs_realtime_version = "2.0"
    made.header.timestamp = int(at.timestamp())
    for bus in sent:
        entity = made.entity.add(id=bus.id)
        vehicle = entity.vehicle
        vehicle.trip.trip_id = bus.trip_id
        vehicle.trip.route_id = bus.trip.line.route_id
        vehicle.trip.start_time = gtfs_time(bus.trip.start)
        if bus.start_date:
            vehicle.trip.start_date = f"{bus.start_date:%Y%m%d}"
        vehicle.position.latitude, vehicle.position.longitude = bus.latitude, bus.longitude
        if bus.stop is not None:
            vehicle.current_stop_sequence = bus.stop
        vehicle.current_status = bus.status
        vehicle.timestamp = int(bus.timestamp.timestamp())
        vehicle.vehicle.id = bus.vehicle
    return bytes(made.SerializeToString())
