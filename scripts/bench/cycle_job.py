"""One look at the buses: what the four flows do, in a process that holds all of the job's.

It runs in the job's own environment: no import here that the job does not have.
"""

import importlib
import json
import logging
import sys
import time
from datetime import datetime

from jobs.late_buses import append_history, fetch_feed, fetch_timetable, find_late, source, store
from jobs.late_buses.compare import Rule
from longshore.flows.flow import without_prefect

log = logging.getLogger("cycle")


def main(step: str, at: str, agency: str) -> None:
    """`timetable` fetches that; `cycle` prints what a look took, and how many positions there were."""
    with without_prefect():
        importlib.import_module("jobs.late_buses.flow")
    now = datetime.fromisoformat(at)
    began = time.monotonic()
    if step == "timetable":
        job = fetch_timetable.Fetch(source.timetable_url(None), agency, now)
        made = fetch_timetable.run(job, "", log)
        print(json.dumps({"seconds": time.monotonic() - began, "rows": made.rows_loaded}))
        return
    said = {}
    live = fetch_feed.run(fetch_feed.Fetch(source.feed_url(None)), "", "", log)
    said["fetch"] = time.monotonic() - began
    late = find_late.run(find_late.Find(store.LIVE, now, Rule()), "", log)
    said["compare"] = time.monotonic() - began - said["fetch"]
    append_history.run(append_history.Append("postgres", "", "raw_late_buses"), "", "", "", log)
    seconds = time.monotonic() - began
    said["append"] = seconds - said["fetch"] - said["compare"]
    print(json.dumps({"seconds": seconds, **said, "rows": live.rows_loaded, "late": late.rows_loaded}))


if __name__ == "__main__":
    main(*sys.argv[1:])
