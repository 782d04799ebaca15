"""Rows appended to a table of either sink: one row a key, however often, in whatever batches."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest

from tests.integration.appending import DAY, KEY, NOON, SEEN, Place, append, contents, counts, refused, seen


@pytest.fixture(params=["database", "cloud"], ids=["postgres", "bigquery"])
def place(request: pytest.FixtureRequest) -> Place:
    """A database, or a dataset, of the test's own."""
    made: Place = request.getfixturevalue(request.param)
    return made


def test_rows_appended_twice_are_there_once(place: Place) -> None:
    reports = [append(place, seen(range(100))) for _ in range(2)]
    said = [(report.status, report.rows_read, report.dropped, report.rows_loaded) for report in reports]
    assert said == [("loaded", 100, {"there already": 0}, 100), ("loaded", 100, {"there already": 100}, 0)]
    assert counts(place) == (100, 100)


def test_of_batches_that_overlap_only_the_new_rows_are_appended(place: Place) -> None:
    reports = [append(place, seen(range(start, start + 50))) for start in (0, 30, 10, 80, 20)]
    assert [report.rows_loaded for report in reports] == [50, 30, 0, 50, 0]
    assert counts(place) == (130, 130)


def test_of_rows_with_one_key_the_first_stays(place: Place) -> None:
    twice = pa.concat_tables([seen([1, 2], late=11.0), seen([2, 3], late=12.0), seen([3, 3], late=13.0)])
    report = append(place, twice)
    assert (report.rows_read, report.dropped, report.rows_loaded) == (6, {"there already": 3}, 3)
    append(place, seen([1, 2, 3], late=14.0))
    found = place.rows("SELECT trip_id, time_diff FROM seen ORDER BY 1")
    assert found == [("VJ000001", 11.0), ("VJ000002", 11.0), ("VJ000003", 12.0)]


@pytest.mark.parametrize(
    "other",
    [
        {"trip_id": "x"},
        {"start_date": DAY - dt.timedelta(days=1)},
        {"stop_sequence": 8},
        {"timestamp": NOON + dt.timedelta(microseconds=1)},
    ],
    ids=KEY,
)
def test_rows_that_differ_in_one_column_of_the_key_are_two(other: dict[str, Any], place: Place) -> None:
    row = seen([0]).to_pylist()[0]
    append(place, pa.Table.from_pylist([row], schema=SEEN))
    assert append(place, pa.Table.from_pylist([row, row | other], schema=SEEN)).rows_loaded == 1


def test_ids_times_nulls_and_empty_texts_stay_what_they_are(place: Place) -> None:
    stamp = dt.datetime(2026, 10, 25, 0, 59, 59, 999999, tzinfo=dt.UTC)
    rows = [
        ("", DAY, 2, stamp, "", float("inf"), False),
        ("0012", DAY, 1, stamp, None, -0.5, True),
        ("VJ00a-007", DAY, 0, stamp, "25:10:00", None, None),
        ("Ünïcode\r\n\t\\N'\"%s", DAY, 2_147_483_647, stamp, "47:59:59", None, None),
    ]
    table = pa.Table.from_pylist([dict(zip(SEEN.names, row, strict=True)) for row in rows], schema=SEEN)
    assert [append(place, table).rows_loaded for _ in range(2)] == [4, 0]
    assert sorted(place.rows(f"SELECT {', '.join(SEEN.names)} FROM seen"), key=lambda row: row[0]) == rows


def test_a_column_of_nulls_only_makes_a_column_of_its_type(place: Place) -> None:
    append(place, seen(range(3)).set_column(5, SEEN.field("time_diff"), pa.nulls(3, pa.float64())))
    append(place, seen([7]))
    assert place.rows("SELECT COUNT(*), COUNT(time_diff), MAX(time_diff) FROM seen") == [(4, 1, 12.5)]


def test_no_rows_make_no_table(place: Place) -> None:
    report = append(place, seen([]))
    assert (report.status, report.rows_read, report.rows_loaded) == ("unchanged", 0, 0)
    assert contents(place) == {}
    append(place, seen([1]))
    assert append(place, seen([])).status == "unchanged"
    assert counts(place) == (1, 1)


def test_the_order_of_the_columns_is_free(place: Place) -> None:
    append(place, seen(range(5)))
    assert append(place, seen(range(3, 8)).select(SEEN.names[::-1])).rows_loaded == 3
    found = place.rows("SELECT COUNT(*) FROM seen WHERE departure_time = '25:10:00' AND trip_id LIKE 'VJ%'")
    assert found == [(8,)]


def test_first_appends_to_a_new_place_at_once(place: Place) -> None:
    with ThreadPoolExecutor(4) as pool:
        starts = range(0, 4_000, 1_000)
        reports = list(pool.map(lambda start: append(place, seen(range(start, start + 2_000))), starts))
    assert sum(report.rows_loaded for report in reports) == 5_000
    assert counts(place) == (5_000, 5_000)


def test_an_empty_part_of_the_key_is_refused_with_its_row(place: Place) -> None:
    append(place, seen(range(5)))
    rows = seen([6, 7]).set_column(0, "trip_id", pa.array(["VJ1", None]))
    says = "late buses, row 2, column 'trip_id' is empty, but part of the key trip_id, start_date"
    assert says in refused(place, rows)


@pytest.mark.parametrize("missing", ["trip_id", "timestamp"])
def test_a_missing_column_of_the_key_is_named(missing: str, place: Place) -> None:
    append(place, seen(range(5)))
    says = f"late buses has no column {missing!r}, which is part of the key"
    assert says in refused(place, seen([7]).drop_columns(missing))
