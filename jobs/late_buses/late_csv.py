"""late_buses.csv: the table LATE, written for the map and for people, and read back."""

import io

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from jobs.late_buses.columns import LATE
from jobs.late_buses.gtfs_time import INSTANT
from longshore.errors import LoadError
from longshore.formats.blocks import line_blocks
from longshore.formats.csv.delimited import open_csv

ADVICE = "Write it anew: run compare-bus-times."


def to_csv(late: pa.Table) -> bytes:
    """late_buses.csv: UTF-8, with a header, which is all of it when no bus is late.

    Texts are in quotes, nulls are empty without quotes; instants are ISO 8601 in UTC, 2026-03-29T01:25:00+00:00.
    """
    for place, column in enumerate(LATE):
        if column.type == INSTANT:
            # Not strftime: that needs the machine's time zones, where Python may have brought its own.
            text = late[column.name].cast(pa.int64()).cast(pa.timestamp("us")).cast(pa.string())
            text = pc.replace_substring_regex(text, r"^(\S+) (\S+?)(\.0+)?$", r"\1T\2+00:00")
            late = late.set_column(place, column.name, text)
    written = io.BytesIO()
    csv.write_csv(late, written)
    return written.getvalue()


def from_csv(data: bytes, name: str) -> pa.Table:
    """The table LATE that to_csv wrote. Raises LoadError when it is cut short or another file, with row and column."""
    if not data.endswith(b"\n"):
        raise LoadError(f"{name} is empty or cut short: it ends within a row. {ADVICE}")
    try:
        schema, batches = open_csv(name, line_blocks([data], name, quoting=True), LATE, widen=False)
        return pa.Table.from_batches(batches, schema)
    except LoadError as error:
        raise LoadError(f"{error} {ADVICE}") from error
