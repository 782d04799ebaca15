"""`make demo-buses`: the late buses of a small city on a map, from a stand-in of the bus service; Ctrl-C ends it."""

import argparse
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

warnings.simplefilter("ignore")

from longshore.flows.command import imported  # noqa: E402
from scripts.demo.loads import reports  # noqa: E402
from scripts.demo.places import HOME, google_cloud, postgres, stand_in  # noqa: E402
from scripts.demo.progress import busy  # noqa: E402
from scripts.settings import ROOT, UserError  # noqa: E402
from standins.google.servers import stop  # noqa: E402

KEY = "demo"
EVERY = 10.0  # seconds; the feed changes as often


@contextmanager
def bus_service() -> Iterator[dict[str, str]]:
    """A stand-in of the bus service; the variables with which the flows reach it."""
    says = ("BUS_FEED_URL", "BUS_TIMETABLE_URL")
    with stand_in("standins.buses", "--port", "0", "--key", KEY, says=says) as found:
        yield {**found, "BODS_API_KEY": KEY}


@contextmanager
def page(port: int) -> Iterator[str]:
    """The map; its address."""
    command = [sys.executable, "-m", "streamlit", "run", "dashboards/late_buses/page.py", "--server.port", str(port)]
    with (HOME / "map.log").open("w") as log, subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            stop(process)


def watch(cycles: int) -> int:
    """Look at the buses again and again, `cycles` times or (0) until Ctrl-C; 1 when a look failed."""
    flow = imported("jobs.late_buses.flow:master_flow")
    failed = done = 0
    while not cycles or done < cycles:
        began = time.monotonic()
        for report in reports(flow, sinks=["postgres", "bigquery"]):
            failed += report.status == "failed"
            print(f"  {report}", flush=True)
        done += 1
        if not cycles or done < cycles:
            time.sleep(max(0.0, EVERY - (time.monotonic() - began)))
    return 1 if failed else 0


def demo(cycles: int, port: int) -> int:
    """Start all that the flows need, and the map; then watch."""
    HOME.mkdir(exist_ok=True)
    with ExitStack() as stack:
        with busy("Starting a city with buses, Postgres and the emulators of Google Cloud"):
            for place in (bus_service, postgres, google_cloud):
                os.environ |= stack.enter_context(place())
        os.environ["LATE_BUSES"] = f"gs://{os.environ['GCS_BUCKET']}/late_buses.csv"
        address = stack.enter_context(page(port))
        print(f"\nThe map:  {address}   (Ctrl-C ends it)\n", flush=True)
        return watch(cycles)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.demo.buses", description=__doc__)
    parser.add_argument("--cycles", type=int, default=0, help="looks at the buses; 0: until Ctrl-C (%(default)s)")
    parser.add_argument("--port", type=int, default=8501, help="of the map (%(default)s)")
    given = parser.parse_args(arguments)
    try:
        return demo(given.cycles, given.port)
    except UserError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
