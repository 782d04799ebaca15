"""`python -m standins.buses`: serve a city of buses until stopped, and print where the job finds it."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path

from standins.buses.city import ZONE, City
from standins.buses.server import accelerated, real_time, serve_buses
from standins.web.server import wait_for_a_signal


def moment(text: str) -> datetime:
    """An ISO date and time; the city's own where it names no zone."""
    given = datetime.fromisoformat(text)
    return given if given.tzinfo else given.replace(tzinfo=ZONE)


def main() -> None:
    """Parse, make the timetable, serve."""
    parser = argparse.ArgumentParser(prog="python -m standins.buses", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8089, help="port, 0 for a free one (%(default)s)")
    parser.add_argument("--key", default="demo-key", help="the api_key that is asked for (%(default)s)")
    parser.add_argument("--root", type=Path, default=Path(".demo/buses"), help="where zips are kept (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another city for another number (%(default)s)")
    parser.add_argument("--vehicles", type=int, default=200, help="about as many are on the road (%(default)s)")
    parser.add_argument("--start", type=moment, help="the time that its clock shows first, ISO (now)")
    parser.add_argument("--speed", type=float, default=1, help="how fast its clock goes (%(default)s)")
    options = parser.parse_args()
    clock = accelerated(options.start or real_time(), options.speed)
    city = City(options.seed, options.vehicles)
    with serve_buses(city, options.root, options.key, clock, options.host, options.port) as site:
        site.timetable()
        print(f"BUS_FEED_URL={site.feed_url}", flush=True)
        print(f"BUS_TIMETABLE_URL={site.timetable_url}", flush=True)
        wait_for_a_signal()


if __name__ == "__main__":
    main()
