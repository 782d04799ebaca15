"""GTFS zip -> one agency's timetable of some days.

A region's stop_times.txt has millions of rows, an agency's trips of three days are a tenth of them. So the trips are
chosen first, and of what streams by only small columns of their rows are kept; the texts, which are the same
for a whole trip or at a stop, are put beside them at the end.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from jobs.late_buses import agencies, gtfs_csv, service_days, stop_times
from jobs.late_buses.columns import TIMETABLE
from longshore.sources.zip import Zip, opened

TRIP = ("trip_headsign", "block_id", "shape_id", "vehicle_journey_code")
BATCH = 131_072  # rows: a row group of the Parquet object
STOP = ("stop_code", "stop_name", "stop_lat", "stop_lon")


def timetable(zip_file: BinaryIO | Path, name: str, agency: str, days: Sequence[date]) -> pa.Table:
    """TIMETABLE: the stops of the trips that the agency runs on any of the days, sorted by trip_id, stop_sequence.

    zip_file: seekable. agency: its name; the case is ignored where no name is written just so. The schema's metadata
    are `timezone`, `agency` (as agency.txt writes it) and `days`. Raises LoadError for what is wrong with the zip, and
    for an agency that is not in it, with the names of those that are.
    """
    return batches(zip_file, name, agency, days).read_all()


def batches(zip_file: BinaryIO | Path, name: str, agency: str, days: Sequence[date]) -> pa.RecordBatchReader:
    """The same rows, each batch made when it is asked for: all at once they take many times the memory.

    The zip has been read, and all errors raised, when this returns.
    """
    with opened(zip_file, name) as gtfs:
        found = agencies.find(gtfs, agency)
        trips = _trips(gtfs, agencies.routes(gtfs, found), service_days.read(gtfs, days))
        times = stop_times.read(gtfs, trips["trip_id"].combine_chunks())
        stops = _stops(gtfs, times["stop_id"])
    covered = ",".join(day.isoformat() for day in sorted(set(days)))
    metadata = {"timezone": found.timezone, "agency": found.name, "days": covered}
    schema = TIMETABLE.with_metadata(metadata)
    return pa.RecordBatchReader.from_batches(schema, _joined(schema, times, trips, stops))


def _joined(schema: pa.Schema, times: pa.Table, trips: pa.Table, stops: pa.Table) -> Iterator[pa.RecordBatch]:
    for batch in times.to_batches(max_chunksize=BATCH):
        at_stop = pc.index_in(batch["stop_id"], value_set=stops["stop_id"])
        columns = {name: batch[name] for name in batch.schema.names}
        columns |= {name: trips[name].take(batch["trip"]) for name in trips.column_names}
        columns |= {name: stops[name].take(at_stop) for name in STOP}
        yield from pa.table([columns[name] for name in schema.names], schema=schema).combine_chunks().to_batches()


def _trips(gtfs: Zip, routes: pa.Table, services: pa.Table) -> pa.Table:
    """The trips of these routes and services, sorted by trip_id, with the route's columns and the service's days."""

    def wanted(batch: pa.RecordBatch) -> pa.Array:
        ours = pc.is_in(batch["route_id"], value_set=routes["route_id"])
        return pc.and_(ours, pc.is_in(batch["service_id"], value_set=services["service_id"]))

    trips = gtfs_csv.table(gtfs, "trips.txt", ("route_id", "service_id", "trip_id"), TRIP, keep=wanted)
    gtfs_csv.check_key(trips, "trip_id", f"{gtfs.name}: trips.txt")
    trips = trips.sort_by("trip_id").combine_chunks()
    at_route = pc.index_in(trips["route_id"], value_set=routes["route_id"])
    for column in ("agency_id", *agencies.ROUTE):
        trips = trips.append_column(column, routes[column].take(at_route))
    at_service = pc.index_in(trips["service_id"], value_set=services["service_id"])
    return trips.append_column("service_days", services["service_days"].take(at_service)).combine_chunks()


def _stops(gtfs: Zip, wanted: pa.ChunkedArray) -> pa.Table:
    """The stops with these ids."""
    ids = pc.unique(wanted)
    stops = gtfs_csv.table(
        gtfs,
        "stops.txt",
        ("stop_id", *STOP[1:]),
        STOP[:1],
        keep=lambda batch: pc.is_in(batch["stop_id"], value_set=ids),
    )
    where = f"{gtfs.name}: stops.txt"
    gtfs_csv.check_key(stops, "stop_id", where)
    for column in ("stop_lat", "stop_lon"):
        degrees = gtfs_csv.converted(stops, column, gtfs_csv.doubles, "a number of degrees", where, key="stop_id")
        stops = stops.set_column(stops.column_names.index(column), column, degrees)
    return stops
