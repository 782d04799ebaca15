"""agency.txt and routes.txt: an agency by its name, its time zone and its routes."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from jobs.late_buses import gtfs_csv, gtfs_time
from longshore.errors import LoadError
from longshore.sources.zip import Zip

LISTED = 20
ROUTE = ("route_short_name", "route_long_name", "route_type")


@dataclass(frozen=True)
class Agency:
    """name: as agency.txt writes it. ids: one or more, for some are entered twice. alone: there is no other."""

    name: str
    ids: Sequence[str | None]
    timezone: str
    alone: bool


def find(gtfs: Zip, name: str) -> Agency:
    """The agency of that name; the case is ignored where none is written just so.

    Raises LoadError, with the names that are there, when it is not found, and when its time zone cannot be used.
    """
    there = gtfs_csv.table(gtfs, "agency.txt", ("agency_name", "agency_timezone"), ("agency_id",)).to_pylist()
    names = sorted({row["agency_name"] or "" for row in there})
    wanted = name.strip()
    exact = [row for row in there if row["agency_name"] == wanted]
    rows = exact or [row for row in there if (row["agency_name"] or "").strip().casefold() == wanted.casefold()]
    if not rows:
        more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
        listed = ", ".join(names[:LISTED]) or "no agency"
        raise LoadError(f"{gtfs.name} has no agency {name!r}. Set agency to one that agency.txt names: {listed}{more}.")
    ids = [row["agency_id"] for row in rows]
    return Agency(rows[0]["agency_name"], ids, _timezone(gtfs, name, rows), len(rows) == len(there))


def _timezone(gtfs: Zip, name: str, rows: Sequence[dict[str, str | None]]) -> str:
    zones = {row["agency_timezone"] or "" for row in rows}
    if len(zones) > 1:
        raise LoadError(f"{gtfs.name}: agency.txt gives {name!r} more than one agency_timezone. Correct the file.")
    return gtfs_time.zone(zones.pop(), f"{gtfs.name}: agency.txt, agency_timezone of {name!r}").key


def routes(gtfs: Zip, agency: Agency) -> pa.Table:
    """route_id, agency_id and ROUTE of the agency's routes. A route that names no agency is that of the only one."""
    ids = pa.array([one for one in agency.ids if one is not None], pa.string())

    def ours(batch: pa.RecordBatch) -> pa.Array:
        named = pc.is_in(batch["agency_id"], value_set=ids)
        return pc.or_(named, pc.is_null(batch["agency_id"])) if agency.alone else named

    found = gtfs_csv.table(gtfs, "routes.txt", ("route_id",), ("agency_id", *ROUTE), keep=ours)
    gtfs_csv.check_key(found, "route_id", f"{gtfs.name}: routes.txt")
    if agency.alone and len(agency.ids) == 1:
        only = pa.repeat(pa.scalar(agency.ids[0], pa.string()), found.num_rows)
        found = found.set_column(found.column_names.index("agency_id"), "agency_id", only)
    return found
