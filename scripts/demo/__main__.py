"""`make demo`: three months of taxi trips from a website into Postgres, and through a bucket into BigQuery.

`make psql` opens the Postgres that the demo filled.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

warnings.simplefilter("ignore")

from longshore.report import Report  # noqa: E402
from scripts.demo.loads import BY_MONTH, MONTHS, into_google_cloud, into_postgres, told  # noqa: E402
from scripts.demo.places import HOME, psql, website  # noqa: E402
from scripts.demo.progress import busy  # noqa: E402
from scripts.settings import UserError  # noqa: E402

NUMBERS = ("rows", "dropped", "seconds", "trips", "mean fare")
NEXT = """
Look at the data:   make psql
One question:       make psql SQL='SELECT count(*) FROM yellow_taxi_trips'
What was loaded:    make psql SQL='SELECT slice, rows_loaded, loaded_at FROM load_ledger'
Next:               make demo again loads nothing; make up starts Prefect, a worker and its UI (Docker)"""


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of at most 80 columns: a line for each row, a column for each name in the first row."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, justify="right" if name in NUMBERS else "left", overflow="fold")
    for row in rows:
        table.add_row(*(str(row.get(name, "")) for name in rows[0]))
    Console(width=80).print(table)


def row(report: Report) -> dict[str, str]:
    """A report as a row of the table."""
    loaded = report.status == "loaded"
    return {
        "what": report.file,
        "into": "/".join(report.target.split("/")[:3]),  # of an object its bucket
        "status": report.status,
        "rows": f"{report.rows_loaded:,}" if loaded else "",
        "dropped": f"{sum(report.dropped.values()):,}" if loaded else "",
        "seconds": f"{report.seconds:.1f}" if loaded else "",
    }


def demo(live: bool) -> int:
    """Load everything, show what came of it; 1 when something failed."""
    HOME.mkdir(exist_ok=True)
    os.environ.setdefault("RETRY_DELAY_SECONDS", "0.1")  # somebody is waiting
    answer: list[Any] = []
    with ExitStack() as stack:
        with busy("Reading the real files" if live else "Making the taxi files of the stand-in website"):
            os.environ["TAXI_URL"] = stack.enter_context(website(live, MONTHS))
        reports = told("Postgres", into_postgres()) + told("Google Cloud", into_google_cloud(answer))
    show([row(report) for report in reports])
    if answer:
        print(f"\nWhat BigQuery answers to\n{BY_MONTH}")
        show(
            [
                {"month": f"{row.month:%Y-%m}", "trips": f"{row.trips:,}", "mean fare": f"{row.mean_fare:.2f}"}
                for row in answer
            ]
        )
    if any(report.status == "failed" for report in reports):
        print("What failed says why above; what was loaded before is untouched.")
        return 1
    if all(report.status == "unchanged" for report in reports):
        print("Nothing has changed on the website since the last time, so nothing was loaded.")
    print(NEXT)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.demo", description=__doc__)
    parser.add_argument("--live", action="store_true", help="read the real website instead of the local stand-in")
    parser.add_argument("--psql", action="store_true", help="open the demo's database instead")
    parser.add_argument("--sql", help="with --psql: one query to answer")
    given = parser.parse_args(arguments)
    try:
        return psql(given.sql) if given.psql else demo(given.live)
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    sys.exit(main())
