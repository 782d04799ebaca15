"""Web to BigQuery: both core flows, one after the other, in one container."""

from collections.abc import Sequence

from jobs.gcs_to_bigquery.flow import gcs_to_bigquery
from jobs.web_to_gcs.flow import web_to_gcs
from longshore.datasets import taxi
from longshore.flows.flow import flow, subflow
from longshore.flows.runner import Stopped
from longshore.flows.steps import scheduled_start
from longshore.report import Report


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
) -> Sequence[Report]:
    """Copy months of taxi trips into the bucket, then load them into BigQuery, exactly once each.

    A month that cannot be copied does not keep the others from being loaded.

    Args:
        months: The months, 1 to 12; null: all of the year. Null and no year: the month before the scheduled start.
        year: The year of the months.
        color: Which taxi trips: yellow or green.
        force: Load again even if nothing has changed.
        dataset: The BigQuery dataset. Made when it is not there.
        location: Where a new dataset is made, such as EU. Default: where the bucket is.
        bucket: The GcsBucket block; GCS_BUCKET takes its place.
        credentials: The GcpCredentials block whose project has the dataset; GCP_PROJECT takes its place.
    """
    days = taxi.months_of(year, months, scheduled_start())
    # Named, because a subflow's scheduled start is now: a late run would take the wrong month.
    first, numbers = days[0].year, [day.month for day in days]
    copied = subflow(web_to_gcs, color, first, numbers, force=force, bucket=bucket)
    if not copied.reports:
        raise Stopped(copied)
    there = [month for month, report in zip(numbers, copied.reports, strict=True) if report.status != "failed"]
    if not there:
        return copied.reports
    loaded = subflow(
        gcs_to_bigquery, color, first, there, dataset=dataset, location=location,
        force=force, bucket=bucket, credentials=credentials,
    )  # fmt: skip
    if not loaded.reports:
        raise Stopped(loaded, copied.reports)
    return [*copied.reports, *loaded.reports]
