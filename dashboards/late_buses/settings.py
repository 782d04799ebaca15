"""What the pages can be told: variables of the environment, each with its default."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from longshore.errors import LoadError

OPENSTREETMAP = "https://tile.openstreetmap.org/{z}/{x}/{y}.png"
ITS_ATTRIBUTION = '&copy; <a href="https://www.openstreetmap.org/copyright">OpenStreetMap</a> contributors'
LONDON = ZoneInfo("Europe/London")


@dataclass(frozen=True)
class View:
    """Where the map starts."""

    latitude: float
    longitude: float
    zoom: float


@dataclass(frozen=True)
class Settings:
    """view: None to start where the late buses are. tiles: an address of Leaflet's kind, empty for none.

    refresh_seconds: how often the page reads anew by itself, 0 for never. late_minutes: the job's, for the headline.
    warehouse: bigquery, postgres, or empty for the one that is set.
    """

    late_buses: str = "late_buses.csv"
    agency: str = "First Bus Leeds"
    view: View | None = View(53.799, -1.549, 11.5)
    tiles: str = OPENSTREETMAP
    attribution: str = ITS_ATTRIBUTION
    refresh_seconds: float = 30.0
    stale_minutes: float = 5.0
    late_minutes: float = 10.0
    timezone: ZoneInfo = LONDON
    warehouse: str = ""
    dataset: str = "bus_tracker"
    table: str = "raw_late_buses"

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Settings":
        """The environment's, or the defaults where it has none. Raises LoadError for what cannot be meant."""
        env = {name: value.strip() for name, value in environment.items()}
        bucket = env.get("GCS_BUCKET")
        place = env.get("LATE_BUSES") or (f"gs://{bucket}/late_buses.csv" if bucket else "")
        if not place:
            raise LoadError(
                "Neither LATE_BUSES nor GCS_BUCKET is set. Set LATE_BUSES to what the job late-buses writes:"
                " gs://BUCKET/late_buses.csv, or a path or an address of a copy."
            )
        tiles = env.get("MAP_TILES", "osm")
        attribution = env.get("MAP_ATTRIBUTION", "")
        if tiles == "osm":
            tiles, attribution = OPENSTREETMAP, attribution or ITS_ATTRIBUTION
        if tiles and not attribution:
            raise LoadError("MAP_TILES is set, but not MAP_ATTRIBUTION: say whose map it is, they ask for that.")
        return cls(
            late_buses=place,
            agency=env.get("MAP_AGENCY") or cls.agency,
            view=_view(env["MAP_VIEW"]) if env.get("MAP_VIEW") else cls.view,
            tiles=tiles,
            attribution=attribution,
            refresh_seconds=_number(env, "MAP_REFRESH_SECONDS", cls.refresh_seconds),
            stale_minutes=_number(env, "MAP_STALE_MINUTES", cls.stale_minutes),
            late_minutes=_number(env, "MAP_LATE_MINUTES", cls.late_minutes),
            timezone=_zone(env.get("MAP_TIMEZONE")) or cls.timezone,
            warehouse=_warehouse(env.get("MAP_WAREHOUSE", "")),
            dataset=env.get("MAP_DATASET") or cls.dataset,
            table=env.get("MAP_TABLE") or cls.table,
        )


def _view(text: str) -> View | None:
    if text == "fit":
        return None
    try:
        latitude, longitude, zoom = (float(part) for part in text.split(","))
    except ValueError:
        latitude = longitude = zoom = math.nan
    if not (abs(latitude) <= 90 and abs(longitude) <= 180 and 0 <= zoom <= 22):
        raise LoadError(f"MAP_VIEW is {text!r}. It takes LATITUDE,LONGITUDE,ZOOM such as 53.799,-1.549,11.5, or fit.")
    return View(latitude, longitude, zoom)


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name)
    try:
        number = float(text) if text else default
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise LoadError(f"{name} is {text!r}. It takes a number, {default:g} when left out.")
    return number


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError) as error:
        raise LoadError(f"MAP_TIMEZONE is {name!r}. It takes a name such as Europe/London.") from error


def _warehouse(name: str) -> str:
    if name not in ("", "bigquery", "postgres"):
        raise LoadError(f"MAP_WAREHOUSE is {name!r}. It takes bigquery or postgres.")
    return name
