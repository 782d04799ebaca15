"""A GTFS-Realtime feed becomes one row a vehicle; what is no feed is told by what it looks like."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from google.transit import gtfs_realtime_pb2 as realtime

from jobs.late_buses.columns import LIVE
from jobs.late_buses.feed import observed_at, positions
from longshore.errors import LoadError
from tests.unit.bus_tables import DUE, bus, feed


def rows(*buses: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = positions(feed(*buses), "feed").to_pylist()
    return found


def test_a_position_keeps_all_that_the_feed_says() -> None:
    table = positions(feed(bus()), "feed")
    assert table.schema.equals(LIVE)
    assert table.to_pylist() == [bus()]
    assert table.schema.metadata[b"positions"] == b"1"


def test_what_the_feed_does_not_say_is_null_and_the_status_is_on_the_way() -> None:
    missing = dict.fromkeys(("route_id_live", "start_time", "start_date_live", "current_stop", "current_status"))
    assert rows(bus(**missing)) == [bus(**missing | {"current_status": 2})]


@pytest.mark.parametrize(
    "useless",
    [
        {"trip_id": None},
        {"trip_id": ""},
        {"trip_id": "  "},
        {"timestamp": None},
        {"timestamp": datetime(1970, 1, 1, tzinfo=UTC)},
        {"latitude": None},
        {"longitude": None},
        {"latitude": None, "longitude": None},
        {"latitude": 91.0},
        {"longitude": float("nan")},
    ],
)
def test_a_position_without_trip_place_or_time_is_left_out(useless: dict[str, Any]) -> None:
    table = positions(feed(bus(**useless), bus(id="e2", vehicle="bus 2")), "feed")
    assert table["vehicle"].to_pylist() == ["bus 2"]
    assert table.schema.metadata[b"positions"] == b"2"


def test_milliseconds_in_the_place_of_seconds_are_no_time() -> None:
    message = realtime.FeedMessage.FromString(feed(bus()))
    message.entity[0].vehicle.timestamp *= 1_000
    assert positions(message.SerializeToString(), "feed").num_rows == 0


def test_alerts_trip_updates_and_deleted_positions_are_no_buses() -> None:
    message = realtime.FeedMessage.FromString(feed(bus()))
    message.entity[0].is_deleted = True
    message.entity.add(id="alert").alert.header_text.translation.add(text="Snow")
    message.entity.add(id="update").trip_update.trip.trip_id = "T"
    assert positions(message.SerializeToString(), "feed").num_rows == 0


@pytest.mark.parametrize("text", ["2026011", "20260230", "2026-1-3", "tomorrow", "202601130", "٢٠٢٦٠١١٣"])
def test_a_start_date_that_is_none_is_null(text: str) -> None:
    assert rows(bus(start_date_live=text)) == [bus(start_date_live=None)]


def test_a_vehicle_is_where_it_was_last_whatever_the_order_of_the_feed() -> None:
    buses = [
        bus(id="old", timestamp=DUE - timedelta(minutes=2), current_stop=5),
        bus(id="new", timestamp=DUE, current_stop=6),
        bus(id="newer", timestamp=DUE, current_stop=7),
        bus(id="other", vehicle="bus 2", timestamp=DUE - timedelta(hours=1)),
    ]
    found = [rows(*order) for order in permutations(buses)]
    assert [(row["vehicle"], row["id"]) for row in found[0]] == [("bus 1", "newer"), ("bus 2", "other")]
    assert all(one == found[0] for one in found)


def test_vehicles_without_an_id_go_by_their_entity() -> None:
    found = rows(bus(id="a", vehicle=None), bus(id="b", vehicle=None))
    assert [row["vehicle"] for row in found] == ["a", "b"]


def test_a_feed_without_buses_is_a_table_without_rows() -> None:
    table = positions(feed(), "feed")
    assert table.num_rows == 0
    assert table.schema.equals(LIVE)
    assert observed_at(table) == DUE


def test_a_feed_is_as_old_as_it_says_or_as_its_newest_position() -> None:
    silent = datetime(1970, 1, 1, tzinfo=UTC)
    older = bus(vehicle="bus 2", timestamp=DUE - timedelta(minutes=2))
    assert observed_at(positions(feed(older, bus(), made=silent), "feed")) == DUE
    assert observed_at(positions(feed(older, bus(), made=DUE + timedelta(seconds=9)), "feed")) > DUE  # type: ignore[operator]
    assert observed_at(positions(feed(made=silent), "feed")) is None


def test_text_that_no_database_takes_is_made_takable() -> None:
    spoilt = feed(bus(trip_id="T\0rip", route_id_live="RRR")).replace(b"RRR", b"R\xffR")
    [row] = positions(spoilt, "feed").to_pylist()
    assert (row["trip_id"], row["route_id_live"]) == ("Trip", "R\ufffdR")


def test_a_stop_number_beyond_integers_is_none() -> None:
    assert rows(bus(current_stop=2**32 - 1)) == [bus(current_stop=None)]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty (0 bytes)"),
        (b"\n <!DOCTYPE html><p>Sign in</p>", "is a web page or XML, not a GTFS-Realtime feed: it begins with '<!DOC"),
        (b'{"error": "Invalid token"}', "is JSON, not a GTFS-Realtime feed"),
        (b"PK\x03\x04gtfsrt.bin", "is a zip"),
        (b"\x1f\x8b\x08feed", "is gzipped"),
        (b"\xff\xfe\x00rubbish", "is cut short, or no GTFS-Realtime feed: its 10 bytes"),
        (b"\x1a\x00", "is cut short, or no GTFS-Realtime feed"),
    ],
)
def test_what_is_no_feed_is_told_by_what_it_looks_like(data: bytes, said: str) -> None:
    with pytest.raises(LoadError) as error:
        positions(data, "https://feed.example/?api_key=…")
    assert str(error.value).startswith(f"https://feed.example/?api_key=… {said}")


def test_a_feed_cut_anywhere_but_between_two_buses_is_refused() -> None:
    whole = feed(*(bus(id=f"e{n}", vehicle=f"bus {n}") for n in range(3)))
    passed = []
    for cut in range(len(whole)):
        with suppress(LoadError):
            passed.append(positions(whole[:cut], "feed").num_rows)
    assert passed == [0, 1, 2]
