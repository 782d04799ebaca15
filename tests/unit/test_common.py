"""Small rules: schemas, months, reports, addresses, quoting, the read-ahead thread."""

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.backoff import Backoff
from longshore.datasets.taxi import color, months_of
from longshore.errors import LoadError
from longshore.formats.file import format_of
from longshore.http import public_url
from longshore.read_ahead import read_ahead
from longshore.report import Report, failures
from longshore.schemas import ARROW_TYPES, check_names, declared_schema, postgres_type, storable, wider
from longshore.sinks.postgres.connection import quote, quoted

TODAY = datetime(2021, 3, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize("sql", [*ARROW_TYPES, "numeric(12,2)", "numeric(5,0)"])
def test_a_declared_type_is_made_as_declared(sql: str) -> None:
    [field] = declared_schema({"c": sql})
    assert postgres_type(field) == sql
    assert storable(field) == field


@pytest.mark.parametrize("sql", ["int", "numeric", "numeric(39,0)", "numeric(x)", "varchar(5)", ""])
def test_an_unknown_type_is_refused_with_the_known_ones(sql: str) -> None:
    with pytest.raises(LoadError, match=r"Column 'c': unknown type .* Known types: smallint, .*numeric\("):
        declared_schema({"c": sql})


TYPES = st.sampled_from([kind for kind in ARROW_TYPES.values() if kind != pa.binary()] + [pa.null()])


@given(TYPES, TYPES)
def test_the_wider_type_is_the_same_either_way_and_holds_itself(one: pa.DataType, two: pa.DataType) -> None:
    assert wider(one, two) == wider(two, one)
    assert wider(one, one) == one
    assert wider(wider(one, two), two) == wider(one, two)


def test_the_order_of_columns_is_free_and_their_set_is_not() -> None:
    schema = declared_schema({"a": "text", "b": "text"})
    check_names("f", ["b", "a"], schema)
    with pytest.raises(LoadError, match="f has other columns than declared: it lacks b; it has c, which"):
        check_names("f", ["a", "c"], schema)


@pytest.mark.parametrize(
    ("start", "month"),
    [
        (datetime(2021, 1, 1, 12, tzinfo=UTC), date(2020, 12, 1)),
        (datetime(2021, 3, 1, 12, tzinfo=UTC), date(2021, 2, 1)),
        (datetime(2021, 12, 31, 12, tzinfo=UTC), date(2021, 11, 1)),
        (datetime(2021, 3, 1, 4, tzinfo=UTC), date(2021, 1, 1)),  # still February in New York
    ],
)
def test_without_dates_the_month_before_is_meant(start: datetime, month: date) -> None:
    assert months_of(None, None, start) == [month]


def test_months_are_those_given_once_each_and_a_year_alone_is_all_of_it() -> None:
    assert months_of(2020, [2, 1, 2], TODAY) == [date(2020, 2, 1), date(2020, 1, 1)]
    assert months_of(None, [1], TODAY) == [date(2021, 1, 1)]
    assert len(months_of(2020, None, TODAY)) == 12


@pytest.mark.parametrize(
    ("year", "months", "says"),
    [
        (2021, [4], "2021-04 is in the future"),
        (2021, None, "2021-04 is in the future"),
        (2021, [0], "No such month: 2021-0"),
        (2021, [13], "No such month: 2021-13"),
        (2021, [], "No such month"),
        (1999, [1], "Years are from 2009"),
        (10_000, [1], "Years are from 2009"),
    ],
)
def test_a_month_that_cannot_be_is_refused(year: int, months: list[int] | None, says: str) -> None:
    with pytest.raises(LoadError, match=says):
        months_of(year, months, TODAY)


def test_a_month_of_this_month_is_not_the_future() -> None:
    assert months_of(2021, [3], TODAY) == [date(2021, 3, 1)]


def test_the_taxi_files_are_where_they_were_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAXI_URL", raising=False)
    url = "https://github.com/DataTalksClub/nyc-tlc-data/releases/download/green/green_tripdata_2021-01.csv.gz"
    assert color("green").url(date(2021, 1, 1)) == url
    with pytest.raises(LoadError, match=r"There are no 'blue' taxi trips\. Known colors: green, yellow"):
        color("blue")


def test_a_report_says_what_came_what_went_and_how_fast() -> None:
    report = Report("yellow 2021-01", "rides", "s", "loaded", 1_010, {"0 passengers": 10}, 1_000, 5, 2.0)
    assert str(report) == (
        "yellow 2021-01: 1,010 rows read, 10 (0 passengers) dropped, 1,000 loaded into rides in 2.0 s (500 rows/s)"
    )
    assert report.row()["rows dropped"] == "10 (0 passengers)"
    assert "error" not in report.row()
    unchanged = Report("f", "rides", "s", "unchanged")
    assert str(unchanged) == "f: unchanged since it was loaded into rides; nothing to do."
    assert unchanged.row()["rows read"] == ""
    failed = Report("f", "rides", "s", "failed", error="f answered HTTP 404.")
    assert failed.row()["error"] == "f answered HTTP 404."
    assert failures([report, failed]) == "1 of 2 failed. f: f answered HTTP 404."
    assert failures([report, unchanged]) == ""
    assert Report("f", "t", "s", "loaded").rows_per_second == 0.0


@given(secret=st.text(st.characters(min_codepoint=48, max_codepoint=122, categories=["L", "N"]), min_size=9))
def test_a_shown_address_holds_no_login_and_no_query_values(secret: str) -> None:
    shown = public_url(f"https://me:{secret}@example.org:8443/a.csv?sig={secret}&se=&x={secret}#{secret}")
    assert shown == "https://example.org:8443/a.csv?sig=…&se=…&x=…"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://h/a.csv", "csv"),
        ("http://h/a.CSV.gz?x=.json", "csv"),
        ("http://h/a.tsv", "csv"),
        ("http://h/a.ndjson.gz", "jsonl"),
        ("http://h/a.json", "json"),
        ("http://h/a.parquet", "parquet"),
        ("http://h/a", None),
        ("http://h/csv", None),
        ("http://h/a.xlsx", None),
    ],
)
def test_the_format_is_told_by_the_file_s_name(url: str, found: str | None) -> None:
    assert format_of(url) == found


def test_the_wait_doubles_and_stops_growing() -> None:
    assert [Backoff(first=1.0).delay(n) for n in (1, 2, 3, 9)] == [1, 2, 4, 60]


def test_names_are_quoted() -> None:
    assert quote('a"b') == '"a""b"'
    assert quoted("my schema.my%table") == '"my schema"."my%table"'
    assert quoted("x" * 63) == '"' + "x" * 63 + '"'
    for name in ("x" * 64, "é" * 32, "", "a.", "a.b.c", "a\0"):
        with pytest.raises(LoadError, match="is no table name"):
            quoted(name)


def test_read_ahead_gives_all_items_in_order_and_then_the_error() -> None:
    def items() -> Iterator[int]:
        yield from range(100)
        raise LoadError("broken")

    with read_ahead(items()) as ahead:
        assert [next(ahead) for _ in range(100)] == list(range(100))
        with pytest.raises(LoadError, match="broken"):
            next(ahead)


def test_read_ahead_stays_at_most_its_depth_ahead_and_ends_with_its_context() -> None:
    made: list[int] = []
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            for number in range(1_000_000):
                made.append(number)
                yield number
        finally:
            closed.set()

    with read_ahead(items(), depth=2) as ahead:
        assert [next(ahead) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert closed.is_set()
    assert len(made) <= 5 + 2 + 2
