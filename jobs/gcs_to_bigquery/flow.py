"""GCS to BigQuery: the Parquet objects of a slice become rows of a table, exactly once."""

from typing import Any

from prefect import flow
from prefect.states import Failed
from prefect_gcp import GcsBucket

from jobs.common import cloud
from jobs.common.backoff import Log
from jobs.common.bigquery import load
from jobs.common.errors import LoadError
from jobs.common.report import Report
from jobs.common.steps import run_all, run_id, scheduled_start, step
from jobs.datasets import taxi


def _load(job: load.Load, bucket: str, credentials: str, log: Log) -> Report:
    store = cloud.bucket(bucket).gcp_credentials.get_cloud_storage_client()
    return load.run(job, store, cloud.bigquery_client(credentials), log)


load_objects = step("load-objects", _load)


@flow(name="gcs-to-bigquery")
def gcs_to_bigquery(
    color: str = "yellow",
    year: int | None = None,
    months: list[int] | None = None,
    uri: str | None = None,
    table: str | None = None,
    dataset: str = "dezoomcamp",
    slice: str | None = None,
    location: str | None = None,
    force: bool = False,
    bucket: str = "zoom-gcs",
    credentials: str = "zoom-gcp-creds",
) -> Any:
    """Load months of taxi trips, or any Parquet objects, from a bucket into BigQuery, exactly once.

    Args:
        color: Which taxi trips: yellow or green.
        year: The year of the months; alone, it means all twelve. Default with months: 2021.
        months: The months to load, 1 to 12. Without year and months: the month before the scheduled start.
        uri: Instead of taxi trips: Parquet objects, such as gs://BUCKET/orders/*.parquet.
        table: The table to load into. Needed with uri; taxi trips have a default.
        dataset: The BigQuery dataset of the table. Made when it is not there.
        slice: With uri: what the objects are called in the ledger and in the rows. Default: the uri.
        location: Where a new dataset is made, such as EU. Default: where the bucket is.
        force: Load again even if the objects have not changed.
        bucket: The GcsBucket block; GCS_BUCKET takes its place.
        credentials: The GcpCredentials block whose project has the dataset; GCP_PROJECT takes its place.
    """
    try:
        if uri:
            jobs = [any_objects(uri, table, dataset, slice, location, force)]
        elif slice:
            raise LoadError("slice goes with uri; the taxi trips know their own.")
        else:
            jobs = trips(cloud.bucket(bucket), color, year, months, table, dataset, location, force)
    except LoadError as error:
        return Failed(message=str(error))
    return run_all("gcs-to-bigquery", load_objects, jobs, bucket, credentials)


def any_objects(
    uri: str, table: str | None, dataset: str, slice: str | None, location: str | None, force: bool
) -> load.Load:
    """Any objects, as one slice. Raises LoadError when the table is not said."""
    if not table:
        raise LoadError("uri needs table: say which table to load the objects into.")
    name = slice or uri
    return load.Load(
        uri, dataset, table, name, name, cluster=("load_slice",), location=location, force=force, flow_run=run_id()
    )


def trips(
    bucket: GcsBucket,
    color: str,
    year: int | None,
    months: list[int] | None,
    table: str | None,
    dataset: str,
    location: str | None,
    force: bool,
) -> list[load.Load]:
    """A month's object each. Raises LoadError for a month that cannot be."""
    data = taxi.dataset(color)
    return [
        load.Load(
            uri=f"gs://{bucket.bucket}/{cloud.object_name(bucket, data.object(month))}",
            dataset=dataset,
            table=table or data.rides,
            slice=data.slice(month),
            title=data.slice(month),
            schema=data.schema,
            month=month,
            cluster=(data.pickup,),
            location=location,
            advice=f"Copy it there first: python -m jobs.web_to_gcs --color {color} --year {month.year}"
            f" --months {month.month}, or the deployment web-to-gcs/monthly with these parameters.",
            force=force,
            flow_run=run_id(),
        )
        for month in taxi.months_of(year, months, scheduled_start())
    ]
