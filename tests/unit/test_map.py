"""What the map's page is made of, without a browser."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from html import unescape
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.late_buses import charts, source
from dashboards.late_buses.labels import escaped, in_order
from dashboards.late_buses.map import COLOURS, colour, placed
from dashboards.late_buses.settings import Settings, View
from longshore.errors import LoadError
from scripts.settings import ROOT
from standins.web.server import Site
from tests.browser.sample import CITY, late, rows, write
from tests.conftest import Cloud


@given(st.text())
def test_escaped_text_has_no_mark_of_html_or_javascript(text: str) -> None:
    assert not set(escaped(text)) & set("<>\"'`$\\{}/\n")
    assert escaped(text).count("&") == escaped(text).count("&#")


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"])))
def test_escaped_text_reads_the_same(text: str) -> None:
    assert unescape(escaped(text)) == text


def test_routes_are_in_the_order_of_their_numbers() -> None:
    assert in_order(["X84", "10", "2", "19A", "19", "2", "007"]) == ["2", "007", "10", "19", "19A", "X84"]


def test_colour_tells_how_late() -> None:
    assert [colour(minutes) for minutes in (5, 10.1, 19.9, 20, 40, 400)] == [
        *[COLOURS[10.0]] * 3, COLOURS[20.0], *[COLOURS[40.0]] * 2
    ]  # fmt: skip


def test_a_stop_off_the_earth_has_no_place() -> None:
    nowhere = [late(stop_lat=None), late(stop_lat=float("nan")), late(stop_lon=512.0)]
    assert placed([late(), *nowhere]) == [late()]


def test_a_bucket_is_enough_to_know_where_the_list_is() -> None:
    assert Settings.of({"GCS_BUCKET": "buses"}).late_buses == "gs://buses/late_buses.csv"
    assert Settings.of({"GCS_BUCKET": "buses", "LATE_BUSES": "/srv/late.csv"}).late_buses == "/srv/late.csv"


def test_empty_settings_are_the_defaults_but_for_tiles() -> None:
    names = ("MAP_AGENCY", "MAP_VIEW", "MAP_REFRESH_SECONDS", "MAP_STALE_MINUTES", "MAP_TIMEZONE", "MAP_TABLE")
    assert Settings.of({"LATE_BUSES": "x", **dict.fromkeys(names, "")}) == Settings("x")
    assert Settings("x").view == View(53.799, -1.549, 11.5)
    assert Settings.of({"LATE_BUSES": "x", "MAP_TILES": ""}).tiles == ""


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "Neither LATE_BUSES nor GCS_BUCKET is set"),
        ({"MAP_VIEW": "91,0,10"}, "MAP_VIEW is '91,0,10'"),
        ({"MAP_VIEW": "fitting"}, "MAP_VIEW is 'fitting'"),
        ({"MAP_STALE_MINUTES": "-1"}, "MAP_STALE_MINUTES is '-1'. It takes a number, 5 when left out"),
        ({"MAP_REFRESH_SECONDS": "nan"}, "MAP_REFRESH_SECONDS is 'nan'"),
        ({"MAP_TIMEZONE": "Europe/Leeds"}, "MAP_TIMEZONE is 'Europe/Leeds'"),
        ({"MAP_TILES": "https://tiles.example/{z}"}, "MAP_TILES is set, but not MAP_ATTRIBUTION"),
    ],
)
def test_a_setting_that_cannot_be_says_what_it_takes(settings: dict[str, str], says: str) -> None:
    with pytest.raises(LoadError, match=says.replace(".", r"\.")):
        Settings.of({"LATE_BUSES": "x"} | settings if settings else {})


def test_reads_a_file_with_its_age(tmp_path: Path) -> None:
    write(tmp_path / "late.csv", *CITY)
    found = source.latest(str(tmp_path / "late.csv"))
    assert found.rows.equals(rows(*CITY))
    assert found.modified
    assert found.minutes(found.modified + timedelta(minutes=7)) == 7
    assert found.minutes(found.modified - timedelta(seconds=1)) == 0


def test_reads_an_address_with_its_age(site: Site) -> None:
    write(site.root / "late_buses.csv", *CITY)
    found = source.latest(f"{site.url}/files/late_buses.csv?key=hidden")
    assert found.rows.equals(rows(*CITY))
    assert found.modified
    with pytest.raises(LoadError, match=r"HTTP 404.*Run the job late-buses") as missing:
        source.latest(f"{site.url}/files/nothing.csv?key=hidden")
    assert "hidden" not in str(missing.value)


def test_reads_an_object_with_its_age(cloud: Cloud, tmp_path: Path) -> None:
    write(tmp_path / "late.csv", *CITY)
    cloud.bucket.blob("buses/late_buses.csv").upload_from_filename(str(tmp_path / "late.csv"))
    found = source.latest(f"gs://{cloud.bucket.name}/buses/late_buses.csv")
    assert found.rows.equals(rows(*CITY))
    assert abs((found.modified or datetime.min.replace(tzinfo=UTC)) - datetime.now(UTC)) < timedelta(hours=1)
    for place in (f"gs://{cloud.bucket.name}/late_buses.csv", "gs://no-such-bucket/late_buses.csv"):
        with pytest.raises(LoadError, match=r"there is no such object.*Run the job late-buses"):
            source.latest(place)


def test_a_time_zone_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "late.csv", late(timezone="Europe/Leeds"))
    with pytest.raises(LoadError, match=r"column 'timezone': there is no time zone 'Europe/Leeds'"):
        source.latest(str(tmp_path / "late.csv"))


def test_the_image_has_all_that_the_pages_import_and_no_more(tmp_path: Path) -> None:
    run = partial(subprocess.run, check=True, capture_output=True, text=True)
    run([sys.executable, "docker/select_code.py", "--job", "dashboards", ".", str(tmp_path)], cwd=ROOT)
    loads = "import sys; from dashboards.late_buses import charts, map, source, warehouse;"
    loads += "print(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] in ('jobs', 'dashboards')))"
    loads += "; print('prefect' in sys.modules)"
    files, prefect = run([sys.executable, "-c", loads], cwd=tmp_path).stdout.splitlines()
    assert all(Path(file).is_relative_to(tmp_path) for file in files.split())
    assert prefect == "False"
    assert (tmp_path / "dashboards/late_buses/.streamlit/config.toml").exists()
    assert not (tmp_path / "jobs/late_buses/flow.py").exists()


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    first = datetime(2026, 10, 25, 0, tzinfo=UTC)  # 01:00 in London, and an hour later again
    axis = charts.hours(first, first + timedelta(hours=2), ZoneInfo("Europe/London"))
    assert axis == ["Sun 25 Oct 01:00 BST", "Sun 25 Oct 01:00 GMT", "Sun 25 Oct 02:00 GMT"]
