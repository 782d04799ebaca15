"""`python -m tests.integration.bus_soak`: many looks at the buses while the feed fails at random; JSON lines.

In a process of its own, so that its memory is that of the flows and of the stand-in.
"""

import json
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import psutil

from longshore.flows.command import imported
from standins.buses.city import City
from standins.buses.server import FEED, BusSite, serve_buses
from standins.buses.simulation import inside, late, positions
from standins.web.faults import HTML, Fault

BEGIN = datetime(2026, 2, 4, 23, 54, tzinfo=UTC)  # midnight comes soon
EVERY = timedelta(seconds=7)  # oftener than the feed changes: some looks see what the one before saw
RETRYABLE = [Fault(status=503), Fault(cut_after=200), Fault(cut_after=200, reset=True), Fault(status=429)]
LASTING = [Fault(status=500, times=None), Fault(body=HTML, times=None), Fault(cut_after=100, times=None)]


def truth(site: BusSite, at: datetime) -> list[list[str]]:
    """The late buses of the city, by key."""
    found = late(inside(positions(site.city, at)), at)
    return [[one.trip_id, str(one.start_date), str(one.stop_sequence), one.timestamp.isoformat()] for one in found]


def main(cycles: int) -> None:
    """One line for each look: what was wrong with the feed, how it ended, what is late, MiB of this process."""
    master_flow = imported("jobs.late_buses.flow:master_flow")
    chance = Random(6)
    now = BEGIN
    with tempfile.TemporaryDirectory() as folder, serve_buses(City(), Path(folder), "key", lambda: now) as site:
        os.environ |= {"BUS_FEED_URL": site.feed_url, "BUS_TIMETABLE_URL": site.timetable_url, "BODS_API_KEY": "key"}
        for number in range(cycles):
            now = BEGIN + number * EVERY
            kind = chance.choices(["none", "retryable", "lasting"], [2, 1, 1])[0]
            faults = {"none": [], "retryable": RETRYABLE, "lasting": LASTING}[kind]
            site.faults[FEED] = [Fault(**vars(chance.choice(faults)))] if faults else []
            ended = master_flow(now=now, sinks=["postgres"])
            rss = psutil.Process().memory_info().rss >> 20
            line = {
                "feed": kind,
                "completed": ended.completed,
                "said": ended.message,
                "late": truth(site, now),
                "mib": rss,
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
