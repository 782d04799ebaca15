"""The generated taxi files have the real files' shape and dirt, and are the same each time."""

import gzip
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from standins.taxi.files import Expected, make
from standins.taxi.render import batches, lines
from standins.taxi.taxi import BLANK_AT_THE_END, Month

# The headers of the real files.
YELLOW = (  # noqa: SIM905
    "VendorID,tpep_pickup_datetime,tpep_dropoff_datetime,passenger_count,trip_distance,RatecodeID,"
    "store_and_fwd_flag,PULocationID,DOLocationID,payment_type,fare_amount,extra,mta_tax,tip_amount,"
    "tolls_amount,improvement_surcharge,total_amount,congestion_surcharge"
).split(",")
GREEN = (  # noqa: SIM905
    "VendorID,lpep_pickup_datetime,lpep_dropoff_datetime,store_and_fwd_flag,RatecodeID,PULocationID,"
    "DOLocationID,passenger_count,trip_distance,fare_amount,extra,mta_tax,tip_amount,tolls_amount,"
    "ehail_fee,improvement_surcharge,total_amount,payment_type,trip_type,congestion_surcharge"
).split(",")
PUBLISHED = {"yellow": YELLOW, "green": GREEN}
SMALL = Month(rows=20_000)


def rows_of(month: Month) -> list[list[str]]:
    """The text of a month, split."""
    text = b"".join(lines(month)).decode()
    return [line.split(",") for line in text.removesuffix("\n").split("\n")]


@pytest.mark.parametrize("color", ["yellow", "green"])
def test_shape_and_dirt_are_the_real_ones(color: str) -> None:
    header, *rows = rows_of(Month(color, rows=20_000))
    assert header == PUBLISHED[color]
    assert len(rows) == 20_000
    assert {len(row) for row in rows} == {len(header)}
    blank = [i for i, row in enumerate(rows) if row[0] == ""]
    assert blank == list(range(20_000 - 1_400, 20_000))
    for name in BLANK_AT_THE_END & set(header):
        assert [i for i, row in enumerate(rows) if row[header.index(name)] == ""] == blank
    distances = {row[header.index("trip_distance")] for row in rows}
    assert any(d.startswith(".") for d in distances)
    assert not any(d.startswith("0.") for d in distances)
    amounts = {row[header.index("total_amount")] for row in rows}
    assert any(a.startswith("-") for a in amounts)
    assert not any("." in a and a.endswith("0") for a in amounts)
    zero = sum(row[header.index("passenger_count")] == "0" for row in rows)
    assert 0.015 < zero / len(rows) < 0.025
    years = {row[1][:4] for row in rows}
    assert "2021" in years
    assert years & {"2008", "2009", "2098"}
    if color == "green":
        assert {row[header.index("ehail_fee")] for row in rows} == {""}


def test_real_counts_are_the_default() -> None:
    assert Month().count == 1_369_765
    assert Month(month=2).count == 1_371_708
    assert Month("green").count == 76_518
    assert (len(YELLOW), len(GREEN)) == (18, 20)


def test_made_twice_the_bytes_and_times_are_the_same(tmp_path: Path) -> None:
    one, expected = make(tmp_path / "a", SMALL)
    two, _ = make(tmp_path / "b", SMALL)
    assert one.read_bytes() == two.read_bytes()
    assert one.stat().st_mtime_ns == two.stat().st_mtime_ns
    made = one.stat().st_ino
    again, kept = make(tmp_path / "a", SMALL)
    assert (again.stat().st_ino, kept) == (made, expected)
    assert make(tmp_path / "a", Month(rows=10))[1].rows == 10


def test_all_endings_hold_the_same_rows(tmp_path: Path) -> None:
    counts = {ending: make(tmp_path, SMALL, ending)[1] for ending in ("csv", "csv.gz", "parquet")}
    assert len(set(counts.values())) == 1
    text = (tmp_path / "yellow_tripdata_2021-01.csv").read_bytes()
    packed = (tmp_path / "yellow_tripdata_2021-01.csv.gz").read_bytes()
    assert hashlib.sha256(gzip.decompress(packed)).digest() == hashlib.sha256(text).digest()
    table = pq.read_table(tmp_path / "yellow_tripdata_2021-01.parquet")
    cents = int(np.round(pc.sum(table["total_amount"]).as_py() * 100))
    assert counts["parquet"] == Expected(
        rows=table.num_rows,
        zero_passengers=int(np.sum(table["passenger_count"].to_numpy() == 0)),
        blank_vendor=table["VendorID"].null_count,
        total_cents=cents,
        zones=pc.sum(table["PULocationID"]).as_py(),
    )


def test_packed_text_longer_than_a_block_unpacks(tmp_path: Path) -> None:
    month = Month(rows=300_000)
    path, _ = make(tmp_path, month)
    assert gzip.decompress(path.read_bytes()) == b"".join(lines(month))


def test_a_column_that_turns_into_a_float() -> None:
    header, *rows = rows_of(Month(rows=3_000, late_float="passenger_count", late_float_at=2_000))
    values = [row[header.index("passenger_count")] for row in rows]
    assert all(len(v) == 1 for v in values[:2_000])
    assert all(v == "" or v.endswith(".0") for v in values[2_000:])
    assert any(v == "1.0" for v in values)


def test_trailing_fields_and_crlf() -> None:
    header, *rows = rows_of(Month("green", 2014, 1, rows=100, trailing=2, crlf=True))
    assert len(header) == len(GREEN)
    assert {len(row) for row in rows} == {len(GREEN) + 2}
    assert {row[-1] for row in rows} == {"\r"}


def test_batches_have_one_schema() -> None:
    counts: Counter[str] = Counter()
    schemas = {batch.schema for batch in batches(Month(rows=300_000), counts)}
    assert len(schemas) == 1
    assert counts["rows"] == 300_000
