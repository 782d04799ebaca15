"""The published way to the timetable: pandas reads every file whole, merges all of them, and then picks the day.

agency -> routes -> trips, LEFT JOIN calendar, stop_times and stops; then start and end date, then the weekday's
column. calendar_dates.txt is read and not used. One day only, where ours covers three.
"""

import json
import sys
import time
from datetime import date
from zipfile import ZipFile

import pandas as pd
import pyarrow.parquet as pq

TEXT = dict.fromkeys(("trip_id", "route_id", "service_id", "stop_id", "agency_id", "start_date", "end_date"), str)


def main(path: str, target: str, agency: str, day: str) -> None:
    """A GTFS zip to a Parquet file of the agency's stop times of the day."""
    began = time.monotonic()
    with ZipFile(path) as archive:
        feed = {name: pd.read_csv(archive.open(name), dtype=TEXT) for name in archive.namelist()}
    agencies = feed["agency.txt"]
    ids = agencies.loc[agencies["agency_name"] == agency, "agency_id"]
    routes = feed["routes.txt"][feed["routes.txt"]["agency_id"].isin(ids)]
    frame = feed["trips.txt"].merge(routes, how="left", on="route_id").dropna(subset=["agency_id"])
    for name, key in (("calendar.txt", "service_id"), ("stop_times.txt", "trip_id"), ("stops.txt", "stop_id")):
        frame = frame.merge(feed[name], how="left", on=key)
    when = date.fromisoformat(day)
    within = (pd.to_datetime(frame["start_date"]) <= day) & (pd.to_datetime(frame["end_date"]) >= day)
    frame = frame[within]
    frame = frame[frame[f"{when:%A}".lower()] == 1]
    frame.to_parquet(target, compression="gzip")
    print(json.dumps({"seconds": time.monotonic() - began, "rows": pq.read_metadata(target).num_rows}))


if __name__ == "__main__":
    main(*sys.argv[1:])
