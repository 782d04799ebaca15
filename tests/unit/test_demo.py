"""The demo tells of every load, also when a place is not there."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.report import Report
from scripts.demo import places
from scripts.demo.__main__ import row, show
from scripts.demo.loads import told

LOADED = Report("yellow 2021-01", "trips", "yellow 2021-01", "loaded", 3, {}, 3, 10, 1.0)


def breaking() -> Iterator[Report]:
    yield LOADED
    raise RuntimeError("no server answers")


def test_a_place_that_breaks_is_a_failed_load_and_hides_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    reports = told("Google Cloud", breaking())
    assert reports[0] == LOADED
    assert (reports[1].target, reports[1].status, reports[1].error) == ("Google Cloud", "failed", "no server answers")
    said = capsys.readouterr().out
    assert str(LOADED) in said
    assert "Google Cloud: no server answers" in said


def test_the_table_has_a_row_for_each_load(capsys: pytest.CaptureFixture[str]) -> None:
    failed = Report("all", "Google Cloud", "", "failed", error="no server answers")
    show([row(LOADED), row(failed)])
    said = capsys.readouterr().out
    assert len(said.strip().splitlines()) == 4  # names, a line, two loads
    assert max(map(len, said.splitlines())) <= 80
    for word in ("yellow 2021-01", "trips", "loaded", "Google Cloud", "failed"):
        assert word in said


def test_the_website_keeps_its_port_while_that_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "HOME", tmp_path)
    port = places.site_port()
    assert places.site_port() == port
    with socket.create_server(("127.0.0.1", int(port))):
        assert places.site_port() != port
