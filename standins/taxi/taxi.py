"""Taxi rows as the real files have them: same columns (those declared), same counts, same dirt. Deterministic.

Values are kept as integers (cents, hundredths of a mile, seconds), so the text and the Parquet of a row
are the same row. The source: https://github.com/DataTalksClub/nyc-tlc-data/releases
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from longshore.datasets.taxi import COLORS

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# What the real files hold, where we know it.
REAL_ROWS = {
    ("yellow", 2021, 1): 1_369_765,
    ("yellow", 2021, 2): 1_371_708,
    ("green", 2021, 1): 76_518,
}
# The rows the meters never sent, at the end of each file: these fields are blank there.
BLANK_AT_THE_END = {
    "VendorID", "passenger_count", "RatecodeID", "store_and_fwd_flag", "payment_type", "trip_type",
}  # fmt: skip
BLANK_PART = 0.07
WRONG_DATE_EVERY = 50_021
WRONG_DATES = (datetime(2008, 12, 31, 23), datetime(2009, 1, 1), datetime(2098, 9, 11, 2))
CHUNK = 1 << 18  # rows; part of what makes a file deterministic


@dataclass(frozen=True)
class Month:
    """One monthly file. The options past `rows` are what other months of the real data do."""

    color: str = "yellow"
    year: int = 2021
    month: int = 1
    rows: int = 0  # 0: as the real file
    late_float: str = ""  # a column of integers that becomes `1.0` after `late_float_at` rows
    late_float_at: int = 1_000_000
    trailing: int = 0  # empty fields after the last named one, in rows but not in the header (2013/14 green)
    crlf: bool = False

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.rows or REAL_ROWS.get((self.color, self.year, self.month), 100_000)

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return f"{self.color}_tripdata_{self.year}-{self.month:02}"


@dataclass(frozen=True)
class Chunk:
    """Some rows of a month: whole numbers by column, and where a column is blank."""

    start: int
    rows: int
    values: dict[str, Ints]
    blank: Bools


def chunks(month: Month) -> Iterator[Chunk]:
    """All rows of a month, in file order, at most CHUNK at a time."""
    for start in range(0, month.count, CHUNK):
        yield _chunk(month, start, min(CHUNK, month.count - start))


def _chunk(month: Month, start: int, rows: int) -> Chunk:
    rng = np.random.default_rng([[*COLORS].index(month.color), month.year, month.month, start])
    index = np.arange(start, start + rows)
    blank_from = month.count - int(month.count * BLANK_PART)
    blank = index >= blank_from

    def one_of(values: list[int], *weights: float) -> Ints:
        """A random value each, by table: much faster than `rng.choice` with probabilities."""
        counts = np.round(np.array(weights) * 1000).astype(np.int64)
        table = np.repeat(np.array(values, np.int64), counts)
        return table[rng.integers(0, len(table), rows)]

    pickup = _pickups(month, index, blank_from, rng)
    seconds = np.minimum(rng.lognormal(6.45, 0.65, rows), 86_399).astype(np.int64)
    distance = np.minimum(seconds * rng.lognormal(-0.85, 0.5, rows), 25_000).astype(np.int64)
    distance[rng.random(rows) < 0.012] = 0
    payment = one_of([1, 2, 3, 4], 0.741, 0.247, 0.007, 0.005)
    fare = 250 + 50 * (distance // 20 + seconds // 240)
    fare = np.where(blank, fare + rng.integers(0, 100, rows), fare)
    extra = one_of([0, 50, 100, 250, 300, 350], 0.33, 0.12, 0.06, 0.29, 0.12, 0.08)
    tax, improvement = np.full(rows, 50), np.full(rows, 30)
    congestion = one_of([0, 250], 0.08, 0.92)
    tolls = one_of([0, 612], 0.965, 0.035)
    due = fare + extra + tax + improvement + congestion + tolls
    tip = np.where(payment == 1, due * one_of([0, 10, 15, 20, 25, 30], 0.1, 0.1, 0.1, 0.5, 0.1, 0.1) // 100, 0)
    tip = np.where(rng.random(rows) < 0.15, tip // 50 * 50, tip)
    # A refund repeats a ride with every amount negative.
    sign = np.where(np.isin(payment, (3, 4)) & (rng.random(rows) < 0.4), -1, 1)
    data = COLORS[month.color]
    values: dict[str, Ints] = {
        "VendorID": one_of([1, 2], 0.32, 0.68),
        data.pickup: pickup,
        data.pickup.replace("pickup", "dropoff"): pickup + seconds,
        "passenger_count": one_of([0, 1, 2, 3, 4, 5, 6], 0.02, 0.75, 0.14, 0.035, 0.015, 0.024, 0.016),
        "trip_distance": distance,
        "RatecodeID": one_of([1, 2, 3, 4, 5, 99], 0.966, 0.021, 0.003, 0.002, 0.007, 0.001),
        "store_and_fwd_flag": one_of([0, 1], 0.986, 0.014),
        "PULocationID": _zones(rng, rows),
        "DOLocationID": _zones(rng, rows),
        "payment_type": payment,
        "fare_amount": fare * sign,
        "extra": extra * sign,
        "mta_tax": tax * sign,
        "tip_amount": tip * sign,
        "tolls_amount": tolls * sign,
        "improvement_surcharge": improvement * sign,
        "total_amount": (due + tip) * sign,
        "congestion_surcharge": congestion * sign,
    }
    if "trip_type" in data.columns:
        values["trip_type"] = one_of([1, 2], 0.965, 0.035)
    nothing = np.zeros(rows, np.int64)  # what a column that is only declared holds
    return Chunk(start, rows, {name: values.get(name, nothing) for name in data.columns}, blank)


def _pickups(month: Month, index: Ints, blank_from: int, rng: np.random.Generator) -> Ints:
    """Seconds since 1970: roughly in order, once for the whole rows and once for the blank ones."""
    first = int(datetime(month.year, month.month, 1, tzinfo=UTC).timestamp())
    after = datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
    length = int(after.timestamp()) - first
    whole = index < blank_from
    part = np.where(whole, index / max(blank_from, 1), (index - blank_from) / max(month.count - blank_from, 1))
    offset = part * length + rng.exponential(900, len(index))
    pickup = first + np.minimum(offset, length - 1).astype(np.int64)
    wrong = index % WRONG_DATE_EVERY == 17
    stamps = np.array([int(d.replace(tzinfo=UTC).timestamp()) for d in WRONG_DATES])
    pickup[wrong] = stamps[index[wrong] // WRONG_DATE_EVERY % len(stamps)]
    return pickup


def _zones(rng: np.random.Generator, rows: int) -> Ints:
    """Taxi zones 1..265, few of them busy."""
    zones: Ints = 1 + (265 * rng.beta(2.2, 1.3, rows)).astype(np.int64) % 265
    return zones
