"""The times of GTFS: seconds after noon minus 12 h of a service day, in the agency's time zone.

That is midnight, except on the days on which the clocks change; and it goes on past 24:00:00 for a trip that does.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa
import pyarrow.compute as pc

from longshore.errors import LoadError

TIME = r"^\s*(?P<h>[0-9]{1,3}):(?P<m>[0-5][0-9]):(?P<s>[0-5][0-9])\s*$"
INSTANT = pa.timestamp("us", tz="UTC")


def zone(name: str, source: str) -> ZoneInfo:
    """The time zone of that name. source: what names it, for the error."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise LoadError(f"{source}: there is no time zone {name!r}. It should be one such as Europe/London.") from error


def seconds(text: pa.StringArray | pa.ChunkedArray, name: str = "GTFS time", rows_before: int = 0) -> pa.Int32Array:
    """Times as GTFS writes them, "7:05:00" or "25:10:00" -> 25500, 90600; empty or blank -> null.

    name, rows_before: of the file and column, for the error. Raises LoadError with the row of what is no time.
    """
    texts = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
    coded = texts.dictionary_encode()  # a timetable's million times are a few thousand different ones
    values = coded.dictionary
    parts = pc.extract_regex(values, TIME)
    hours, minutes, rest = (pc.struct_field(parts, part).cast(pa.int32()) for part in "hms")
    total = pc.add(pc.add(pc.multiply(hours, 3600), pc.multiply(minutes, 60)), rest)
    wrong = pc.and_(pc.is_null(total), pc.not_equal(pc.utf8_trim_whitespace(values), ""))
    if pc.any(wrong).as_py():
        row = pc.index(wrong.take(coded.indices), True).as_py()
        raise LoadError(
            f"{name}, row {rows_before + row + 1:,}: {texts[row].as_py()[:60]!r} is not a time such as 07:05:00"
            " or, after midnight, 25:10:00."
        )
    return total.take(coded.indices).cast(pa.int32())


def gtfs_text(seconds: pa.Array | pa.ChunkedArray) -> pa.Array:
    """90600 -> "25:10:00"; null -> null."""
    minutes = pc.divide(seconds, 60)
    parts = (pc.divide(minutes, 60), _modulo(minutes, 60), _modulo(seconds, 60))
    digits = [pc.utf8_lpad(part.cast(pa.string()), 2, "0") for part in parts]
    return pc.binary_join_element_wise(*digits, ":")


def day_start(day: date, tz: ZoneInfo) -> datetime:
    """The instant, in UTC, from which the day's times count: local noon minus 12 h that really pass."""
    return datetime.combine(day, time(12), tz).astimezone(UTC) - timedelta(hours=12)


def scheduled(
    days: pa.Array | pa.ChunkedArray, seconds: pa.Array | pa.ChunkedArray, tz: ZoneInfo
) -> pa.Array | pa.ChunkedArray:
    """The instants of times on service days: date32 and int32 -> timestamp[us, UTC]; null where either is."""
    different = pc.unique(days).drop_null()
    starts = pa.array([day_start(day, tz) for day in different.to_pylist()], INSTANT)
    start = starts.take(pc.index_in(days, different))
    return pc.add(start, pc.multiply(seconds.cast(pa.int64()), 1_000_000).cast(pa.duration("us")))


def _modulo(values: pa.Array | pa.ChunkedArray, by: int) -> pa.Array | pa.ChunkedArray:
    return pc.subtract(values, pc.multiply(pc.divide(values, by), by))
