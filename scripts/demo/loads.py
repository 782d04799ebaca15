"""The demo's loads: each job for the same months, a line for each load."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

from scripts.demo.places import google_cloud, postgres

MONTHS = (("yellow", 1), ("yellow", 2), ("green", 1))  # of 2021
BY_MONTH = """\
SELECT month, COUNT(*) AS trips, ROUND(AVG(fare_amount), 2) AS mean_fare
FROM dezoomcamp.rides GROUP BY month ORDER BY month"""


def into_postgres() -> Iterator[Any]:
    """Web to Postgres: the reports."""
    with postgres() as env:
        os.environ |= env
        from jobs.web_to_postgres.flow import web_to_postgres

        for color, month in MONTHS:
            yield from reports(web_to_postgres(color=color, year=2021, months=[month], return_state=True))


def into_google_cloud(answer: list[Any]) -> Iterator[Any]:
    """Web to GCS to BigQuery: the reports; and BigQuery's answer to a question about the trips."""
    with google_cloud() as env:
        os.environ |= env
        from jobs.etl_parent.flow import etl_parent_flow
        from longshore.google import bigquery_client

        for color, month in MONTHS:
            yield from reports(etl_parent_flow(color=color, year=2021, months=[month], return_state=True))
        answer += bigquery_client("").query(BY_MONTH).result()


def reports(state: Any) -> list[Any]:
    """What a run did. Raises RuntimeError when it did not get as far as a report."""
    found = state.result(raise_on_failure=False)
    if not isinstance(found, list) or not found:
        raise RuntimeError(state.message)
    return found


def told(place: str, loads: Iterable[Any]) -> list[Any]:
    """The reports, each printed as it comes. What goes wrong is a report too: other places still get their turn."""
    from longshore.report import Report

    done: list[Any] = []
    try:
        for report in loads:
            print(f"  {report}", flush=True)
            done.append(report)
    except Exception as error:
        done.append(Report("all", place, "", "failed", error=str(error)))
        print(f"  {place}: {error}", flush=True)
    return done
