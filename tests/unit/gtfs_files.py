"""Small GTFS zips, to be spoilt one thing at a time."""

import zipfile
from collections.abc import Mapping
from io import BytesIO

FILES: dict[str, str] = {
    "agency.txt": "agency_id,agency_name,agency_timezone\nA,First Leeds,Europe/London\nB,Other Buses,Europe/London\n",
    "routes.txt": (
        "route_id,agency_id,route_short_name,route_long_name,route_type\n"
        'r1,A,1,"Town, Centre - Hill",3\nr2,B,2,Elsewhere,3\n'
    ),
    "calendar.txt": (
        "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
        "week,1,1,1,1,1,0,0,20260101,20261231\nsunday,0,0,0,0,0,0,1,20260101,20261231\n"
    ),
    "calendar_dates.txt": "service_id,date,exception_type\nweek,20260406,2\nsunday,20260406,1\n",
    "trips.txt": (
        "route_id,service_id,trip_id,trip_headsign,block_id,shape_id,vehicle_journey_code\n"
        "r1,week,t2,Hill,b1,s1,VJ1\nr1,sunday,t1,Hill,b2,s1,VJ2\nr2,week,t3,Elsewhere,b3,s2,VJ3\n"
    ),
    "stops.txt": (
        "stop_id,stop_code,stop_name,stop_lat,stop_lon\n"
        '450,c1,"The ""Crown"", High St",53.8,-1.5\n0451,c2,Café,53.9,-1.6\n452,c3,Not ours,54,-1\n'
    ),
    "stop_times.txt": (
        "trip_id,arrival_time,departure_time,stop_id,stop_sequence,stop_headsign\n"
        "t2,23:50:00,23:51:00,450,2,\nt2,25:10:00,25:10:00,0451,10,\nt3,07:00:00,07:00:00,452,1,\n"
        "t1, 7:05:00,,450,1,Hill top\nt1,,,0451,2,\n"
    ),
}


def packed(files: Mapping[str, str | bytes | None], folder: str = "") -> BytesIO:
    """A zip of FILES with these instead; None leaves one out."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**FILES, **files}.items():
            if text is not None:
                archive.writestr(folder + name, text)
    return file


def changed(name: str, old: str, new: str) -> BytesIO:
    """A zip of FILES in which a text of one file is another."""
    assert old in FILES[name]
    return packed({name: FILES[name].replace(old, new)})
