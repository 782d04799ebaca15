"""Taxi rows as csv text and as Arrow batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from longshore.datasets.taxi import COLORS
from standins.taxi.taxi import BLANK_AT_THE_END, Chunk, Month, chunks

TYPES = {name: kind for trips in COLORS.values() for name, kind in trips.columns.items()}
join: Any = pc.binary_join_element_wise  # the stubs do not know that arrays and strings may be mixed
Column: TypeAlias = Any  # an Arrow array: the stubs lose its type at every step


def batches(month: Month, counts: Counter[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The month's rows with types as the official Parquet files have them."""
    for chunk in chunks(month):
        _count(counts, month, chunk)
        columns = {name: _typed(name, values, chunk) for name, values in chunk.values.items()}
        yield pa.record_batch(columns)


def lines(month: Month, counts: Counter[str] | None = None) -> Iterator[bytes]:
    """The month as csv text, header first."""
    end = "\r\n" if month.crlf else "\n"
    header = True
    for chunk in chunks(month):
        _count(counts, month, chunk)
        if header:
            yield (",".join(chunk.values) + end).encode()
            header = False
        columns = [_text(name, values, chunk, month) for name, values in chunk.values.items()]
        columns += [pa.repeat("", chunk.rows)] * month.trailing
        columns[-1] = join(columns[-1], end, "", null_handling="replace")
        joined = join(*columns, ",", null_handling="replace")
        yield joined.buffers()[2].to_pybytes()


def _count(counts: Counter[str] | None, month: Month, chunk: Chunk) -> None:
    if counts is None:
        return
    counts["rows"] += chunk.rows
    counts["zero_passengers"] += int(np.sum((chunk.values["passenger_count"] == 0) & ~chunk.blank))
    counts["blank_vendor"] += int(np.sum(chunk.blank))
    counts["total_cents"] += int(np.sum(chunk.values["total_amount"]))
    counts["zones"] += int(np.sum(chunk.values["PULocationID"]))


def _mask(name: str, chunk: Chunk) -> Any:
    if name == "ehail_fee":
        return np.ones(chunk.rows, np.bool_)
    return chunk.blank if name in BLANK_AT_THE_END else None


def _typed(name: str, values: Any, chunk: Chunk) -> Column:
    mask = _mask(name, chunk)
    if TYPES[name] == "timestamp":
        return pa.array(values * 1_000_000, mask=mask).cast(pa.timestamp("us"))
    if TYPES[name] == "text":
        return pa.array(["N", "Y"]).take(pa.array(values, mask=mask))
    if TYPES[name] == "double precision":
        return pa.array(values / 100, mask=mask)
    # pandas wrote the official files: a whole number with blanks is a float there.
    return pa.array(values.astype(np.float64) if mask is not None else values, mask=mask)


def _text(name: str, values: Any, chunk: Chunk, month: Month) -> Column:
    mask = _mask(name, chunk)
    if TYPES[name] == "timestamp":
        return pa.array(values, mask=mask).cast(pa.timestamp("s")).cast(pa.string())
    if TYPES[name] == "text":
        return pa.array(["N", "Y"]).take(pa.array(values, mask=mask))
    if name == "trip_distance":
        return _distances().take(pa.array(values))
    if TYPES[name] == "double precision":
        return _amounts().take(pa.array(values + 200_000, mask=mask))
    text = pa.array(values, mask=mask).cast(pa.string())
    if name == month.late_float:
        late = pa.array(np.arange(chunk.start, chunk.start + chunk.rows) >= month.late_float_at)
        text = pc.if_else(late, join(text, ".0", ""), text)
    return text


@cache
def _distances() -> Column:
    """Hundredths of a mile: two decimals, and no zero before the point."""
    return pa.array([f"{n / 100:.2f}".removeprefix("0") for n in range(25_001)])


@cache
def _amounts() -> Column:
    """Cents from -2,000.00 to 2,000.00 in the shortest form."""
    return pa.array([f"{n / 100:.2f}".rstrip("0").rstrip(".") for n in range(-200_000, 200_001)])
