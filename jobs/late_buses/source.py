"""The UK's Bus Open Data Service: where its feed and its timetables are, and the key that the feed asks for.

Guide: https://data.bus-data.dft.gov.uk/guidance/requirements/?section=apiformats. Positions change every 10 s,
timetables every morning at about 06:00 GMT.
"""

import os
from collections.abc import Mapping
from urllib.parse import urlencode

from longshore.errors import UsageError
from longshore.flows.blocks import secret

SERVICE = "https://data.bus-data.dft.gov.uk"
LEEDS = {"min_lat": 53.725, "max_lat": 53.938, "min_long": -1.712, "max_long": -1.296}


def feed_url(given: str | None) -> str:
    """The GTFS-Realtime feed; BUS_FEED_URL names another."""
    return given or os.environ.get("BUS_FEED_URL") or f"{SERVICE}/api/v1/gtfsrtdatafeed/"


def timetable_url(given: str | None) -> str:
    """The GTFS zip of a region; BUS_TIMETABLE_URL names another."""
    return given or os.environ.get("BUS_TIMETABLE_URL") or f"{SERVICE}/timetable/download/gtfs-file/yorkshire/"


def api_key(block: str) -> str:
    """BODS_API_KEY where it is set, else the Secret block of that name."""
    return secret(
        block,
        "BODS_API_KEY",
        f"A key is free: make an account at {SERVICE}, set BODS_API_KEY in .env; `make deploy` puts it into the block",
    )


def query(area: Mapping[str, float] | None, key: str) -> str:
    """The feed's query. The box is latitudes first, then longitudes. Raises UsageError for a box that cannot be."""
    box = dict(area or LEEDS)
    if set(box) != set(LEEDS):
        raise UsageError(f"area is {', '.join(LEEDS)}, in degrees, not {', '.join(box) or 'empty'}.")
    south, north, west, east = (box[name] for name in LEEDS)
    if not (-90 <= south < north <= 90 and -180 <= west < east <= 180):
        raise UsageError(
            f"area {box}: no such box. Latitudes are -90 to 90, longitudes -180 to 180, each min below max."
        )
    return urlencode({"boundingBox": f"{south},{north},{west},{east}", "api_key": key}, safe=",")
