"""A GTFS zip the size of a region's, shaped like those of the Bus Open Data Service; a fifth of it is one agency's."""

import random
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

AGENCY = "Bench Buses"
DAYS = [date(2026, 2, 28) + timedelta(days=number) for number in range(3)]
AGENCIES, ROUTES, STOPS = 20, 600, 30_000
SHARE = 5  # the agency's is one trip in five
STOPS_PER_TRIP = 40
CLOCK = [f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}" for second in range(30 * 3600)]
CALENDAR = "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date"
TRIPS = "route_id,service_id,trip_id,trip_headsign,block_id,shape_id,wheelchair_accessible,vehicle_journey_code"
STOP_TIMES = (
    "trip_id,arrival_time,departure_time,stop_id,stop_sequence,stop_headsign,pickup_type,drop_off_type,"
    "shape_dist_traveled,timepoint,stop_direction_name"
)


def make(path: Path, rows: int) -> None:
    """The zip: `rows` stop times. All of the agency's trips run on all of DAYS, so a fifth are its timetable."""
    trips = [_trip_id(number) for number in range(rows // STOPS_PER_TRIP)]
    files = {
        "agency.txt": _agencies(),
        "routes.txt": _routes(),
        "calendar.txt": iter([CALENDAR, "1,1,1,1,1,1,1,1,20260101,20261231", "2,1,1,1,1,1,0,0,20250101,20251231"]),
        "calendar_dates.txt": iter(["service_id,date,exception_type", "1,20260406,2"]),
        "stops.txt": _stops(),
        "trips.txt": _trips(trips),
        "stop_times.txt": _stop_times(trips),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with ZipFile(part, "w", ZIP_DEFLATED) as archive:
        for name, lines in files.items():
            with archive.open(name, "w", force_zip64=True) as file:
                for line in lines:
                    file.write(line.encode() + b"\r\n")
    part.replace(path)


def _trip_id(number: int) -> str:
    return f"VJ{random.Random(number).getrandbits(160):040x}"


def _agencies() -> Iterator[str]:
    yield "agency_id,agency_name,agency_url,agency_timezone,agency_lang"
    for number in range(AGENCIES):
        yield f"OP{number},{f'Agency {number}' if number else AGENCY},https://example.com,Europe/London,EN"


def _routes() -> Iterator[str]:
    yield "route_id,agency_id,route_short_name,route_long_name,route_type"
    for number in range(ROUTES):
        agency = 0 if number % SHARE == 0 else 1 + number % (AGENCIES - 1)
        yield f'{number},OP{agency},{number % 99},"Place {number}, Station - Place {number + 1}",3'


def _stops() -> Iterator[str]:
    yield "stop_id,stop_code,stop_name,stop_lat,stop_lon,wheelchair_boarding,location_type,parent_station"
    for number in range(STOPS):
        place = f"{53.5 + number / 1e5:.6f},{-1.5 + number / 1e5:.6f}"
        yield f"4500{number:06},{3201 + number},Street {number} stop,{place},0,,"


def _trips(trips: list[str]) -> Iterator[str]:
    yield TRIPS
    for number, trip in enumerate(trips):
        service = 1 if number % SHARE == 0 or number % 2 else 2
        shape = f"RP{number % 5000:040x}"
        yield f"{number % ROUTES},{service},{trip},Town {number % 200} Bus Station,{number % 900},{shape},0,VJ{number}"


def _stop_times(trips: list[str]) -> Iterator[str]:
    yield STOP_TIMES
    for number, trip in enumerate(trips):
        start, stop = (number * 7919) % (24 * 3600), number * 31
        for sequence in range(STOPS_PER_TRIP):
            clock = CLOCK[start + 90 * sequence]
            at = (stop + sequence) % STOPS
            yield f"{trip},{clock},{clock},4500{at:06},{sequence},,0,0,,{int(sequence % 8 == 0)},"


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]))
