"""stop_times.txt, of which millions of rows go by and those of some trips are kept."""

from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from jobs.late_buses import gtfs_csv
from jobs.late_buses.gtfs_time import seconds
from longshore.errors import LoadError
from longshore.sources.zip import Zip

MEMBER = "stop_times.txt"
REQUIRED = ("trip_id", "arrival_time", "stop_id", "stop_sequence")
OPTIONAL = ("departure_time", "stop_headsign")


def read(gtfs: Zip, trip_ids: pa.Array) -> pa.Table:
    """The stops of these trips, sorted: trip (the place in trip_ids), stop_sequence, arrival and departure in seconds
    (null at a stop without a time), stop_id, stop_headsign.

    Raises LoadError, with row and trip, for what is no time or no number, and for a stop_sequence that is there twice.
    """
    where = f"{gtfs.name}: {MEMBER}"
    places: dict[str | None, int] = {trip: place for place, trip in enumerate(trip_ids.to_pylist())}
    found, before = [], 0
    for batch in gtfs_csv.batches(gtfs, MEMBER, REQUIRED, OPTIONAL):
        trip = _places(batch["trip_id"], places)
        rows = pa.table(batch.append_column("trip", trip)).filter(pc.is_valid(trip))
        if rows.num_rows:
            found.append(_typed(rows, where, partial(_in_file, before, trip)))
        before += batch.num_rows
    if not found:
        return _typed(_NONE.empty_table(), where, int)
    times = pa.concat_tables(found)
    found.clear()
    times = times.take(pc.sort_indices(times, [("trip", "ascending"), ("stop_sequence", "ascending")]))
    _check_once(times, trip_ids, where)
    return times


_NONE = pa.schema([(name, pa.string()) for name in (*REQUIRED, *OPTIONAL)]).append(pa.field("trip", pa.int32()))


def _places(ids: pa.Array, places: dict[str | None, int]) -> pa.Array:
    """The place of each id, null for another's. A trip's rows follow each other, so there is little to look up."""
    runs = pc.run_end_encode(ids)
    found = pa.array([places.get(trip) for trip in runs.values.to_pylist()], pa.int32())
    return pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(runs.run_ends, found))


def _in_file(before: int, trip: pa.Array, row: int) -> int:
    """The number of the row-th row that is kept of a block, `before` rows being those of the blocks before."""
    return before + int(pc.indices_nonzero(pc.is_valid(trip))[row].as_py()) + 1


def _typed(rows: pa.Table, where: str, in_file: gtfs_csv.InFile) -> pa.Table:
    def column(name: str, kind: gtfs_csv.Convert, wanted: str) -> pa.ChunkedArray:
        return gtfs_csv.converted(rows, name, kind, wanted, where, "trip_id", in_file)

    return pa.table(
        {
            "trip": rows["trip"],
            "stop_sequence": column("stop_sequence", gtfs_csv.integers, "a whole number"),
            "arrival": column("arrival_time", seconds, "a time such as 25:10:00"),
            "departure": column("departure_time", seconds, "a time such as 25:10:00"),
            "stop_id": rows["stop_id"],
            "stop_headsign": rows["stop_headsign"],
        }
    )


def _check_once(times: pa.Table, trip_ids: pa.Array, where: str) -> None:
    trip, sequence = times["trip"].combine_chunks(), times["stop_sequence"].combine_chunks()
    again = pc.and_(pc.equal(trip[1:], trip[:-1]), pc.equal(sequence[1:], sequence[:-1]))
    row = pc.index(again, True).as_py()
    if row >= 0:
        raise LoadError(
            f"{where}: trip_id {trip_ids[trip[row].as_py()].as_py()!r} has stop_sequence {sequence[row]} twice."
            " Correct the file."
        )
