"""The map of late buses in a real Chromium, without internet."""

import os
import re
import time
from functools import partial
from pathlib import Path

import pytest
from xstatic.pkg import leaflet

from dashboards.late_buses.labels import LISTED
from dashboards.late_buses.map import COLOURS
from tests.browser.conftest import Open
from tests.browser.page import Page
from tests.browser.sample import CITY, late, write

AN_HOUR_AGO = re.compile(r"6\d min ago\.")  # a busy machine takes minutes to show two pages
HEADLINE = "Number of buses currently more than 10 minutes late: {}"


@pytest.fixture
def city(csv: Path) -> Path:
    """Three late buses, written just now."""
    write(csv, *CITY)
    return csv


def has_circles(shown: Page, wanted: list[tuple[float, float]]) -> bool:
    return shown.circles() == wanted


def places(found: list[dict[str, float]]) -> list[tuple[float, float]]:
    return sorted((one["lat"], one["lon"]) for one in found)


def test_counts_the_buses_and_draws_each_at_its_stop(city: Path, page: Open) -> None:
    shown = page()
    shown.shows("First Bus Leeds delays 🚍")
    shown.shows(HEADLINE.format(3))
    layers = shown.layers()
    assert places(layers["circles"]) == sorted((bus["stop_lat"], bus["stop_lon"]) for bus in CITY)
    assert {circle["metres"] for circle in layers["circles"]} == {100}
    shades = {circle["lat"]: circle["shade"] for circle in layers["circles"]}
    assert [shades[bus["stop_lat"]] for bus in CITY] == [COLOURS[10.0], COLOURS[40.0], COLOURS[20.0]]
    shown.shows("Last updated")
    assert shown.alerts("Error") == shown.alerts("Warning") == []


def test_needs_nothing_from_the_internet(city: Path, page: Open) -> None:
    shown = page()
    assert len(shown.layers()["circles"]) == 3
    assert shown.in_map("return L.version") == leaflet.VERSION
    assert shown.asked_elsewhere() == []


def test_asks_for_the_tiles_that_are_set(city: Path, page: Open) -> None:
    shown = page(MAP_TILES="http://tiles.invalid/{z}/{x}/{y}.png", MAP_ATTRIBUTION="The Tile Makers")
    assert len(shown.layers()["circles"]) == 3
    assert shown.in_map("return document.querySelector('.leaflet-control-attribution').textContent").endswith(
        "The Tile Makers"
    )
    asked = shown.asked_elsewhere()
    assert asked
    assert all(url.startswith("http://tiles.invalid/") for url in asked)


def test_starts_where_published_or_where_it_is_told(city: Path, page: Open) -> None:
    view = "const at = window.map.getCenter(); return [at.lat, at.lng, window.map.getZoom()]"
    assert page().in_map(view) == pytest.approx([53.799, -1.549, 11.5], abs=0.01)
    assert page(MAP_VIEW="51.5,-0.1,9").in_map(view) == pytest.approx([51.5, -0.1, 9], abs=0.01)


def test_fits_the_buses_when_told_to(csv: Path, page: Open) -> None:
    write(csv, late(stop_lat=57.1, stop_lon=-2.1), late(stop_lat=57.2, stop_lon=-2.3))
    inside = "const all = window.map.getBounds(); return [[57.1, -2.1], [57.2, -2.3]].every(p => all.contains(p))"
    shown = page(MAP_VIEW="fit")
    assert shown.in_map(inside)
    assert shown.in_map("return window.map.getZoom()") > 8


def test_tooltip_tells_route_stop_vehicle_and_local_times(city: Path, page: Open) -> None:
    text, _ = page().tooltip("L.Circle", 53.7962)
    assert text.splitlines() == [
        "Route: 1 - Beeston",
        "Stop: Boar Lane",
        "Vehicle: 33421",
        "Scheduled: 03 Jul 14:10:00 BST",
        "Actual: 03 Jul 14:25:30 BST",
        "Late: 16 min",
    ]


def test_shows_what_the_feed_says_as_text_only(csv: Path, page: Open) -> None:
    nasty = "<b>Bold</b> & 'Co' `${window.broken = 1}` \\ {{ 'x' }} </script><img src=x onerror=window.broken=1>"
    write(csv, late(stop_name=nasty, trip_headsign=nasty, route_short_name=nasty))
    shown = page()
    text, html = shown.tooltip("L.Circle", 53.7962)
    assert f"Stop: {nasty}" in text.splitlines()
    assert "<b>Bold" not in html
    assert "<img" not in html
    assert shown.in_map("return window.broken === undefined")


def test_the_buses_are_a_second_layer_that_can_be_left_out(city: Path, page: Open) -> None:
    shown = page()
    layers = shown.layers()
    assert places(layers["dots"]) == sorted((bus["latitude"], bus["longitude"]) for bus in CITY)
    far = CITY[2]
    assert layers["lines"] == [[[far["latitude"], far["longitude"]], [far["stop_lat"], far["stop_lon"]]]]
    text, _ = shown.tooltip("L.CircleMarker", far["latitude"])
    assert text.splitlines() == [
        "Bus: 33777", "Route: X84 - Ilkley", "Seen: 03 Jul 14:25:30 BST", "To the stop: 9.1 km"
    ]  # fmt: skip
    shown.click("The buses too")
    shown.until(lambda: not shown.layers()["dots"])
    assert len(shown.layers()["circles"]) == 3


def test_says_that_a_far_bus_is_doubtful(city: Path, page: Open) -> None:
    text, _ = page().tooltip("L.Circle", CITY[2]["stop_lat"])
    assert text.splitlines()[-1] == "Doubtful: the bus is 9.1 km from the stop"


def test_one_stop_tells_of_all_buses_that_are_late_for_it(csv: Path, page: Open) -> None:
    write(csv, *(late(trip_id=f"VJ{n}", vehicle=f"V{n}") for n in range(LISTED + 2)))
    shown = page()
    text, _ = shown.tooltip("L.Circle", 53.7962)
    vehicles = [line for line in text.splitlines() if line.startswith("Vehicle")]
    assert vehicles == [f"Vehicle: V{n}" for n in range(LISTED)]
    assert text.splitlines()[-1] == "and 2 more"
    assert len(shown.layers()["circles"]) == LISTED + 2


def test_refresh_shows_the_new_buses_each_once_and_leaves_the_view(city: Path, page: Open) -> None:
    shown = page()
    shown.shows(HEADLINE.format(3))
    shown.in_map("window.map.setView([53.81, -1.6], 13); window.untouched = true")
    for buses in (CITY[:2], (*CITY, late(trip_id="VJ4", vehicle="4", stop_lat=53.9)), CITY[1:]):
        write(city, *buses)
        shown.click("Refresh")
        shown.shows(HEADLINE.format(len(buses)))
        shown.until(partial(has_circles, shown, sorted((bus["stop_lat"], bus["stop_lon"]) for bus in buses)))
        assert len(shown.layers()["dots"]) == len(buses)
    assert shown.in_map("return [window.untouched, window.map.getZoom()]") == [True, 13]
    assert shown.in_map("return window.feature_group.length") == 2  # replaced layers are not kept


def test_reading_is_done_by_refresh_and_not_by_drawing_the_page(city: Path, page: Open) -> None:
    shown = page(MAP_REFRESH_SECONDS="3600")  # an answer is kept for 10 s
    shown.shows(HEADLINE.format(3))
    write(city, *CITY[:1])
    shown.click("The buses too")
    shown.until(lambda: not shown.layers()["dots"])
    shown.click("Refresh")
    shown.shows(HEADLINE.format(1))


def test_refreshes_by_itself(city: Path, page: Open) -> None:
    shown = page(MAP_REFRESH_SECONDS="1")
    shown.shows(HEADLINE.format(3))
    write(city, *CITY[:1])
    shown.shows(HEADLINE.format(1))
    shown.until(lambda: len(shown.layers()["circles"]) == 1)


def test_a_file_that_is_missing_is_an_error_and_not_no_late_buses(city: Path, page: Open) -> None:
    city.unlink()
    shown = page()
    shown.shows("It is not known which buses are late")
    shown.shows(f"{city}: there is no such file. Run the job late-buses")
    assert len(shown.alerts("Error")) == 1
    assert "minutes late:" not in shown.text()
    assert "No bus is late" not in shown.text()
    write(city, *CITY)
    shown.click("Refresh")
    shown.shows(HEADLINE.format(3))
    assert len(shown.layers()["circles"]) == 3


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n", "late_buses.csv has other columns than declared"),
        (b"", "late_buses.csv is empty or cut short"),
    ],
    ids=["html", "empty"],
)
def test_another_file_is_an_error(city: Path, page: Open, content: bytes, says: str) -> None:
    city.write_bytes(content)
    shown = page()
    shown.shows(says)
    assert "minutes late:" not in shown.text()


def test_an_error_quotes_a_file_as_text_only(csv: Path, page: Open) -> None:
    csv.write_bytes(b"![x](http://elsewhere.invalid/x.png),:red[y],$z$,<b>\n")
    shown = page()
    shown.shows("it has ![x](http://elsewhere.invalid/x.png), :red[y], $z$, <b>, which nobody expects")
    assert shown.asked_elsewhere() == []


def test_an_error_takes_the_place_of_what_was_shown_before(city: Path, page: Open) -> None:
    shown = page(MAP_REFRESH_SECONDS="1")
    shown.shows(HEADLINE.format(3))
    city.unlink()
    shown.shows("there is no such file")
    shown.until(lambda: "minutes late:" not in shown.text())


def test_a_setting_that_cannot_be_is_an_error(city: Path, page: Open) -> None:
    page(MAP_VIEW="Leeds").shows("MAP_VIEW is 'Leeds'. It takes LATITUDE,LONGITUDE,ZOOM")


def test_old_data_are_shown_with_their_age_and_a_warning(city: Path, page: Open) -> None:
    hour_ago = time.time() - 3600
    os.utime(city, (hour_ago, hour_ago))
    shown = page()
    shown.shows(HEADLINE.format(3))
    shown.until(lambda: AN_HOUR_AGO.search(shown.text()))
    assert "Is the job late-buses running?" in shown.alerts("Warning")[0]
    assert page(MAP_STALE_MINUTES="90").until(lambda: AN_HOUR_AGO.search(shown.text()))
    assert shown.alerts("Warning") == []


def test_says_that_no_bus_is_late(csv: Path, page: Open) -> None:
    write(csv)
    shown = page()
    shown.shows(HEADLINE.format(0))
    shown.shows("No bus is late.")
    assert shown.layers() == {"circles": [], "dots": [], "lines": []}
    assert shown.alerts("Error") == []


def test_shows_only_the_routes_that_are_chosen(city: Path, page: Open) -> None:
    shown = page()
    shown.choose("Routes", "72")
    shown.shows("The map shows 1 of 3.")
    shown.shows(HEADLINE.format(3))
    shown.until(lambda: places(shown.layers()["circles"]) == [(53.8206, -1.6068)])
    write(city, CITY[0])  # none of the chosen route now, and it stays chosen
    shown.click("Refresh")
    shown.shows("The map shows 0 of 1.")


def test_numeric_route_names_stay_text(csv: Path, page: Open) -> None:
    write(csv, late(route_short_name="007"), late(route_short_name="10", stop_lat=53.9))
    text, _ = page().tooltip("L.Circle", 53.7962)
    assert text.splitlines()[0] == "Route: 007 - Beeston"


def test_a_stop_without_a_place_is_told(csv: Path, page: Open) -> None:
    write(csv, late(), late(trip_id="VJ2", stop_lat=None, stop_lon=None))
    shown = page()
    shown.shows(HEADLINE.format(2))
    shown.shows("Not on the map: 1")
    assert len(shown.layers()["circles"]) == 1
