"""Web to BigQuery: both core flows, one after the other, in one container."""

from typing import Any

from prefect import flow
from prefect.states import Failed

from jobs.common.errors import LoadError
from jobs.common.report import Report
from jobs.common.steps import ended, scheduled_start
from jobs.datasets import taxi
from jobs.gcs_to_bigquery.flow import gcs_to_bigquery
from jobs.web_to_gcs.flow import web_to_gcs


@flow(name="etl-parent-flow")
def etl_parent_flow(
    months: list[int] | None = [1, 2],  # noqa: B006 - the published default, never written to
    year: int | None = 2021,
    color: str = "yellow",
    force: bool = False,
    dataset: str = "dezoomcamp",
    location: str | None = None,
    bucket: str = "zoom-gcs",
    credentials: str = "zoom-gcp-creds",
) -> Any:
    """Copy months of taxi trips into the bucket, then load them into BigQuery, exactly once each.

    A month that cannot be copied does not keep the others from being loaded.

    Args:
        months: The months, 1 to 12; null: all of the year. Null and no year: the month before the scheduled start.
        year: The year of the months.
        color: Which taxi trips: yellow or green.
        force: Copy and load again even if nothing has changed.
        dataset: The BigQuery dataset to load into.
        location: Where a new dataset is made, such as EU. Default: where the bucket is.
        bucket: The GcsBucket block; GCS_BUCKET takes its place.
        credentials: The GcpCredentials block; GCP_PROJECT takes its place.
    """
    reports: list[Report] = []
    try:
        days = taxi.months_of(year, months, scheduled_start())
        # Named, because a subflow's scheduled start is now: a late run would take the wrong month.
        first, numbers = days[0].year, [day.month for day in days]
        copy = web_to_gcs(color, first, numbers, force=force, bucket=bucket, return_state=True)
        reports += _reports(copy)
        there = [month for month, report in zip(numbers, reports, strict=True) if report.status != "failed"]
        if there:
            loaded = gcs_to_bigquery(
                color, first, there, dataset=dataset, location=location,
                force=force, bucket=bucket, credentials=credentials, return_state=True,
            )  # fmt: skip
            reports += _reports(loaded)
    except LoadError as error:
        return Failed(message=str(error), data=reports)
    return ended(reports)


def _reports(state: Any) -> list[Report]:
    """What the subflow did, a report per month. Raises LoadError when it did not get that far."""
    reports = state.result(raise_on_failure=False)
    if not isinstance(reports, list):
        raise LoadError(state.message or str(reports))
    return reports
