"""The tables that the flows hand to each other, column by column. Ids are text: other regions' are not numbers."""

import pyarrow as pa

from longshore.schemas import declared_schema

LIVE = declared_schema(
    {
        "id": "text",
        "trip_id": "text",
        "route_id_live": "text",
        "start_time": "text",
        "start_date_live": "date",
        "latitude": "double precision",
        "longitude": "double precision",
        "current_stop": "integer",
        "current_status": "integer",
        "timestamp": "timestamptz",
        "vehicle": "text",
    }
)
"""One row a vehicle and trip: the latest position. start_date_live: the trip's service day, null where the feed has
none.
"""

_STOP_TIME = {
    "trip_id": "text",
    "stop_sequence": "integer",
    "arrival": "integer",
    "departure": "integer",
    "stop_id": "text",
    "stop_code": "text",
    "stop_name": "text",
    "stop_lat": "double precision",
    "stop_lon": "double precision",
    "stop_headsign": "text",
    "route_id": "text",
    "route_short_name": "text",
    "route_long_name": "text",
    "route_type": "text",
    "agency_id": "text",
    "service_id": "text",
    "trip_headsign": "text",
    "block_id": "text",
    "shape_id": "text",
    "vehicle_journey_code": "text",
}
TIMETABLE = declared_schema(_STOP_TIME).append(pa.field("service_days", pa.list_(pa.date32())))
"""One row a stop of a trip. arrival, departure: seconds after noon minus 12 h of the service day, over 86,400 after
midnight. service_days: of those that the timetable covers, the days on which the trip runs. The schema's metadata
say more: `timezone` and `agency`, `days` (the days covered, ISO, with commas), `source`, `etag`.
"""

LATE = declared_schema(
    {
        **{name: kind for name, kind in _STOP_TIME.items() if name not in ("arrival", "departure")},
        "arrival_time": "text",
        "departure_time": "text",
        "arrival_time_fixed": "timestamptz",
        "departure_time_fixed": "timestamptz",
        "start_date": "date",
        "id": "text",
        "route_id_live": "text",
        "start_time": "text",
        "latitude": "double precision",
        "longitude": "double precision",
        "current_status": "integer",
        "timestamp": "timestamptz",
        "vehicle": "text",
        "time_diff": "double precision",
        "distance_m": "double precision",
        "far": "boolean",
        "timezone": "text",
        "observed_at": "timestamptz",
    }
)
"""One row a late bus: late_buses.csv and the history. arrival_time, departure_time: as GTFS writes them, 25:10:00 too;
*_fixed: when that was. start_date: the trip's service day. time_diff: minutes late. distance_m: from the stop; far: too
far to be believed. observed_at: the run's clock.
"""

KEY = ("trip_id", "start_date", "stop_sequence", "timestamp")
"""One observation."""
