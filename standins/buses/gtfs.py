"""The city's timetable as a GTFS zip, as the website makes one a day: the same bytes for a day on every machine."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from functools import cache
from typing import IO

from standins.buses.city import (
    AGENCIES,
    DAILY,
    DWELL,
    ENDED,
    EXTRA,
    WEEKDAYS,
    WEEKENDS,
    City,
    Line,
    holiday,
    runs,
)

BEFORE, AFTER = timedelta(days=30), timedelta(days=90)  # what calendar.txt covers, around the day of the file
LINES = 20_000  # written at a time


def write(city: City, day: date, file: IO[bytes]) -> None:
    """The zip that is published on a day."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, rows in _tables(city, day):
            # The zip's own date is part of its bytes.
            entry = zipfile.ZipInfo(f"{name}.txt", (day.year, day.month, day.day, 6, 0, 0))
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with archive.open(entry, "w", force_zip64=True) as member:
                for text in rows:
                    member.write(text.encode())


def packed(city: City, day: date) -> bytes:
    """The zip in memory."""
    file = io.BytesIO()
    write(city, day, file)
    return file.getvalue()


@cache
def gtfs_time(seconds: int) -> str:
    """As GTFS writes a time: 25:10:00 is ten past one of the night."""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _tables(city: City, day: date) -> Iterator[tuple[str, Iterable[str]]]:
    agencies = [(id, name, "https://example.org", "Europe/London", "EN") for id, name in AGENCIES.items()]
    yield "agency", _csv("agency_id,agency_name,agency_url,agency_timezone,agency_lang", agencies)
    yield "calendar", _csv(f"service_id,{','.join(_WEEKDAYS)},start_date,end_date", _calendar(day))
    yield "calendar_dates", _csv("service_id,date,exception_type", _exceptions(day))
    yield (
        "feed_info",
        _csv(
            "feed_publisher_name,feed_publisher_url,feed_lang,feed_start_date,feed_end_date,feed_version",
            [
                (
                    "Anytown",
                    "https://example.org",
                    "EN",
                    f"{day:%Y%m%d}",
                    f"{day + AFTER:%Y%m%d}",
                    f"{day:%Y%m%d}_060000",
                )
            ],
        ),
    )
    routes = [(out.route_id, out.agency, out.name, "", 3) for out, _ in city.lines]
    yield "routes", _csv("route_id,agency_id,route_short_name,route_long_name,route_type", routes)
    stops = [
        (stop.id, stop.code, stop.name, stop.latitude, stop.longitude, 0, "", "", "")
        for out, _ in city.lines
        for stop in out.stops
    ]
    yield (
        "stops",
        _csv(
            "stop_id,stop_code,stop_name,stop_lat,stop_lon,wheelchair_boarding,location_type,parent_station,platform_code",
            stops,
        ),
    )
    both = [line for pair in city.lines for line in pair]
    shapes = [(_shape(line), s.latitude, s.longitude, n) for line in both for n, s in enumerate(line.stops)]
    yield "shapes", _csv("shape_id,shape_pt_lat,shape_pt_lon,shape_pt_sequence", shapes)
    yield (
        "trips",
        _csv(
            "route_id,service_id,trip_id,trip_headsign,direction_id,block_id,shape_id,wheelchair_accessible,"
            "vehicle_journey_code",
            (
                (
                    t.line.route_id,
                    t.service,
                    t.id,
                    t.line.headsign,
                    t.line.direction,
                    f"{t.block:06}",
                    _shape(t.line),
                    1,
                    f"VJ{t.number}",
                )
                for t in city.trips()
            ),
        ),
    )
    yield "stop_times", _stop_times(city)


_WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


def _calendar(day: date) -> Iterator[tuple[object, ...]]:
    """The plain week of each service; EXTRA has none, that of ENDED is over."""
    weeks = {DAILY: (1,) * 7, WEEKDAYS: (1,) * 5 + (0, 0), WEEKENDS: (0,) * 5 + (1, 1), ENDED: (1,) * 7}
    for service, week in weeks.items():
        last = day - timedelta(days=3) if service == ENDED else day + AFTER
        yield service, *week, f"{day - BEFORE:%Y%m%d}", f"{last:%Y%m%d}"


def _exceptions(day: date) -> Iterator[tuple[object, ...]]:
    """What the holidays change: 1 adds a service to a day, 2 takes it off."""
    days = [day - BEFORE + timedelta(days=n) for n in range((BEFORE + AFTER).days + 1)]
    for off in filter(holiday, days):
        plain = {WEEKDAYS: off.weekday() < 5, WEEKENDS: off.weekday() >= 5, EXTRA: False}
        for service, usual in plain.items():
            if runs(service, off) != usual:
                yield service, f"{off:%Y%m%d}", 2 if usual else 1


def _stop_times(city: City) -> Iterator[str]:
    yield (
        "trip_id,arrival_time,departure_time,stop_id,stop_sequence,stop_headsign,pickup_type,drop_off_type,"
        "shape_dist_traveled,timepoint\r\n"
    )
    rows = []
    for trip in city.trips():
        last = len(trip.line.stops) - 1
        for number, (stop, after) in enumerate(zip(trip.line.stops, trip.line.arrivals, strict=True)):
            arrival = trip.start + after
            departure = arrival if number == last else arrival + DWELL
            times = f"{gtfs_time(arrival)},{gtfs_time(departure)}"
            rows.append(f"{trip.id},{times},{stop.id},{number},,{int(number == last)},{int(not number)},,1\r\n")
        if len(rows) >= LINES:
            yield "".join(rows)
            rows = []
    yield "".join(rows)


def _shape(line: Line) -> str:
    return f"RP{line.route_id}{line.direction}"


def _csv(header: str, rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"{header}\r\n"
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    yield text.getvalue()
