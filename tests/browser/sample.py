"""A small late_buses.csv, as the job writes it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.late_buses.columns import LATE
from jobs.late_buses.late_csv import to_csv

SEEN = datetime(2026, 7, 3, 13, 25, 30, tzinfo=UTC)
BASE: dict[str, Any] = {
    "trip_id": "VJ1",
    "stop_sequence": 7,
    "stop_id": "450010001",
    "stop_name": "Boar Lane",
    "stop_lat": 53.7962,
    "stop_lon": -1.5445,
    "route_id": "101",
    "route_short_name": "1",
    "trip_headsign": "Beeston",
    "agency_id": "OP931",
    "service_id": "7",
    "start_date": SEEN.date(),
    "arrival_time": "14:10:00",
    "departure_time": "14:10:00",
    "arrival_time_fixed": datetime(2026, 7, 3, 13, 10, tzinfo=UTC),
    "departure_time_fixed": datetime(2026, 7, 3, 13, 10, tzinfo=UTC),
    "id": "e1",
    "latitude": 53.7990,
    "longitude": -1.5490,
    "current_status": 2,
    "timestamp": SEEN,
    "vehicle": "33421",
    "time_diff": 15.5,
    "distance_m": 430.0,
    "far": False,
    "timezone": "Europe/London",
    "observed_at": SEEN + timedelta(seconds=20),
}


def late(**values: Any) -> dict[str, Any]:
    """A row of the table LATE: a bus that should have been at Boar Lane at 14:10 and was seen at 14:25:30."""
    return dict.fromkeys(LATE.names) | BASE | values


def rows(*given: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(given), LATE)


def write(path: Path, *given: dict[str, Any]) -> None:
    """The file, whole or not at all, as the page may read it at any moment."""
    part = path.with_suffix(".part")
    part.write_bytes(to_csv(rows(*given)))
    part.replace(path)


CITY = (
    late(),
    late(
        trip_id="VJ2", route_short_name="72", trip_headsign="Bradford", stop_name="Kirkstall Abbey", vehicle="33500",
        stop_lat=53.8206, stop_lon=-1.6068, latitude=53.8150, longitude=-1.5960, time_diff=44.2,
    ),
    late(
        trip_id="VJ3", route_short_name="X84", trip_headsign="Ilkley", stop_name="Holt Park", vehicle="33777",
        stop_lat=53.8497, stop_lon=-1.6103, latitude=53.7790, longitude=-1.5100, time_diff=23.0, far=True,
        distance_m=9_100.0,
    ),
)  # fmt: skip
"""Three buses: the second is 44 minutes late, the third is said to be 9 km from its stop."""
