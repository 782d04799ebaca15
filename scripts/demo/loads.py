"""The demo's loads: each job for the same months, a line for each load."""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from longshore.flows.command import imported
from longshore.flows.flow import PlainFlow
from longshore.report import Report
from scripts.demo.places import google_cloud, postgres
from scripts.demo.progress import busy

MONTHS = (("yellow", 1), ("yellow", 2), ("green", 1))  # of 2021
BY_MONTH = """\
SELECT month, COUNT(*) AS trips, ROUND(AVG(fare_amount), 2) AS mean_fare
FROM dezoomcamp.rides GROUP BY month ORDER BY month"""


def into_postgres() -> Iterator[Report]:
    """Web to Postgres: the reports."""
    with ExitStack() as stack:
        with busy("Starting Postgres"):
            os.environ |= stack.enter_context(postgres())
        flow = imported("jobs.web_to_postgres.flow:web_to_postgres")
        for color, month in MONTHS:
            yield from reports(flow, color=color, year=2021, months=[month])


def into_google_cloud(answer: list[Any]) -> Iterator[Report]:
    """Web to GCS to BigQuery: the reports; and BigQuery's answer to a question about the trips."""
    with ExitStack() as stack:
        with busy("Starting the emulators of Cloud Storage and BigQuery"):
            os.environ |= stack.enter_context(google_cloud())
        flow = imported("jobs.etl_parent.flow:etl_parent_flow")
        for color, month in MONTHS:
            yield from reports(flow, color=color, year=2021, months=[month])
        from longshore.flows.blocks import bigquery_client  # Google's clients take a second to import

        answer += bigquery_client("").query(BY_MONTH).result()


def reports(flow: PlainFlow, **parameters: Any) -> list[Report]:
    """What a run of the flow did. Raises RuntimeError when it did not get as far as a report."""
    ended = flow(**parameters)
    if not ended.reports:
        raise RuntimeError(ended.message)
    return [*ended.reports]


def told(where: str, loads: Iterable[Report]) -> list[Report]:
    """The reports, each printed as it comes. What goes wrong is a report too: the other loads still get their turn."""
    done: list[Report] = []
    try:
        for report in loads:
            print(f"  {report}", flush=True)
            done.append(report)
    except Exception as error:
        done.append(Report("all", where, "", "failed", error=str(error)))
        print(f"  {where}: {error}", flush=True)
    return done
