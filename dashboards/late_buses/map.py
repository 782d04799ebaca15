"""The map: a circle at the stop for each late bus, and where the buses are."""

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import folium
import streamlit.components.v1 as components
from branca.element import MacroElement
from jinja2 import Template
from xstatic.pkg import leaflet

from dashboards.late_buses.labels import Row, at_bus, at_stop
from dashboards.late_buses.settings import Settings, View

STOP_METRES = 100
BUS_PIXELS = 4
COLOURS = {10.0: "#f28e1c", 20.0: "#dc143c", 40.0: "#6a0d2b"}
"""Minutes late, and more -> colour."""
BUS, PAPER = "#1f5fa8", "#eef0f2"

# folium names a CDN for Leaflet, and without it there would be no map. Streamlit serves the package's, beside the page
# of streamlit-folium: from /component/streamlit_folium.st_folium/ this is the way there, below any base path.
_served = components.declare_component("leaflet", path=leaflet.BASE_DIR)
LEAFLET = f"../{_served.name}/leaflet"


class Map(folium.Map):  # type: ignore[misc]
    """A folium map that needs nothing from the internet but its tiles, and of folium's scripts only Leaflet's."""

    default_js: ClassVar = [("leaflet", f"{LEAFLET}.js")]
    default_css: ClassVar = [("leaflet_css", f"{LEAFLET}.css")]


class Legend(MacroElement):  # type: ignore[misc]
    """What the colours mean, in the map's corner."""

    _template = Template(
        """
        {% macro html(this, kwargs) %}
        <style>
          #map_div { background: {{ this.paper }}; }
          .legend { position: absolute; z-index: 1000; right: 10px; top: 10px; padding: 8px 12px; border-radius: 6px;
            background: rgba(255, 255, 255, .92); box-shadow: 0 1px 4px rgba(0, 0, 0, .3);
            font: 13px/1.6 sans-serif; color: #222; }
          .legend i { display: inline-block; width: 11px; height: 11px; border-radius: 50%; margin-right: 7px; }
          .leaflet-tooltip { width: max-content; max-width: 280px; white-space: normal; overflow-wrap: anywhere;
            font: 13px/1.5 sans-serif; }
          .leaflet-tooltip hr { margin: 5px 0; border: 0; border-top: 1px solid #ccc; }
        </style>
        <div class="legend">
          {% for colour, text in this.entries %}<div><i style="background: {{ colour }}"></i>{{ text }}</div>
          {% endfor %}<div><i style="border: 2px solid {{ this.bus }}; box-sizing: border-box"></i>the bus itself</div>
        </div>
        {% endmacro %}
        """
    )

    def __init__(self) -> None:
        super().__init__()
        self._name = "Legend"
        bounds = [*COLOURS, math.inf]
        self.entries = [
            (COLOURS[low], f"{low:g} to {high:g} min late" if high < math.inf else f"{low:g} min late and more")
            for low, high in pairwise(bounds)
        ]
        self.bus, self.paper = BUS, PAPER


class Forget(MacroElement):  # type: ignore[misc]
    """streamlit-folium keeps every layer that it ever replaced; a page that is open all day cannot."""

    _template = Template("{% macro script(this, kwargs) %}window.feature_group = [];{% endmacro %}")


def colour(minutes: float) -> str:
    """The colour of so many minutes late; below the least, the least's."""
    return COLOURS[max((low for low in COLOURS if low <= minutes), default=min(COLOURS))]


def placed(rows: Sequence[Row]) -> list[Row]:
    """The rows whose stop has a place on Earth."""
    return [row for row in rows if _place(row["stop_lat"], row["stop_lon"])]


def base(settings: Settings, rows: Sequence[Row]) -> Map:
    """The map without buses, the same for all updates of one visit. rows: what it shows first, for the view to fit."""
    found = [place for row in rows if (place := _place(row["stop_lat"], row["stop_lon"]))]
    view = settings.view or View(*(found[0] if found else (0.0, 0.0)), 13 if found else 1)
    made = Map((view.latitude, view.longitude), zoom_start=view.zoom, tiles=None, control_scale=True, zoom_snap=0.5)
    if settings.tiles:
        folium.TileLayer(settings.tiles, attr=settings.attribution, max_zoom=19).add_to(made)
    if settings.view is None and len(set(found)) > 1:
        lows, highs = zip(*((min(axis), max(axis)) for axis in zip(*found, strict=True)), strict=True)
        made.fit_bounds([lows, highs], padding=(40, 40))
    Legend().add_to(made)
    return made


def layers(rows: Sequence[Row], own: bool) -> list[folium.FeatureGroup]:
    """What an update replaces: the stops, above the buses' own positions where those are wanted."""
    made = [*([buses(rows)] if own else []), stops(rows)]
    Forget().add_to(made[0])
    return made


def stops(rows: Sequence[Row]) -> folium.FeatureGroup:
    """A circle for each late bus, the latest on top; its tooltip tells all that are late for the stop."""
    group = folium.FeatureGroup("Stops")
    here = defaultdict(list)
    for row in placed(rows):
        here[row["stop_lat"], row["stop_lon"]].append(row)
    for row in reversed(placed(rows)):
        place = row["stop_lat"], row["stop_lon"]
        shade = colour(row["time_diff"])
        circle = folium.Circle(place, STOP_METRES, color=shade, weight=6, fill=True, fill_opacity=0.6, fill_color=shade)
        circle.add_child(folium.Tooltip(at_stop(here[place]))).add_to(group)
    return group


def buses(rows: Sequence[Row]) -> folium.FeatureGroup:
    """A dot where each bus is, and a line to the stop when it is doubtfully far from it."""
    group = folium.FeatureGroup("Buses")
    for row in rows:
        place, stop = _place(row["latitude"], row["longitude"]), _place(row["stop_lat"], row["stop_lon"])
        if not place:
            continue
        if row["far"] and stop:
            folium.PolyLine([place, stop], color=BUS, weight=1.5, dash_array="4 6").add_to(group)
        dot = folium.CircleMarker(place, BUS_PIXELS, color=BUS, weight=2, fill=True, fill_color="white", fill_opacity=1)
        dot.add_child(folium.Tooltip(at_bus(row))).add_to(group)
    return group


def _place(latitude: float | None, longitude: float | None) -> tuple[float, float] | None:
    if latitude is None or longitude is None or not (abs(latitude) <= 90 and abs(longitude) <= 180):
        return None
    return latitude, longitude
