"""GCS to BigQuery: the Parquet objects of a slice become rows of a table, exactly once."""

from collections.abc import Sequence
from datetime import date

from longshore.datasets import taxi
from longshore.errors import UsageError
from longshore.flows import blocks
from longshore.flows.flow import flow
from longshore.flows.steps import load_step, run_all, run_id, scheduled_start
from longshore.report import Report
from longshore.sinks.load import Load

load_objects = load_step("load-objects")
ADVICE = (
    "Copy it there first: python -m jobs.web_to_gcs --color {color} --year {year} --months {month}, or the deployment"
    " web-to-gcs/monthly with these parameters."
)


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
) -> Sequence[Report]:
    """Load months of taxi trips, or any Parquet objects, from a bucket into BigQuery, exactly once.

    Args:
        color: Which taxi trips: yellow or green.
        year: The year of the months; alone, it means all twelve. Default with months: 2021.
        months: The months, 1 to 12. Without year and months: the month before the scheduled start.
        uri: Instead of taxi trips: Parquet objects, such as gs://BUCKET/orders/*.parquet.
        table: The table to load into. Needed with uri; taxi trips have a default.
        dataset: The BigQuery dataset. Made when it is not there.
        slice: With uri: what the objects are called in the ledger and in the rows. Default: the uri.
        location: Where a new dataset is made, such as EU. Default: where the bucket is.
        force: Load again even if nothing has changed.
        bucket: The GcsBucket block; GCS_BUCKET takes its place.
        credentials: The GcpCredentials block whose project has the dataset; GCP_PROJECT takes its place.
    """
    if uri:
        if year or months:
            raise UsageError("year and months go with taxi trips, not with uri.")
        if not table:
            raise UsageError("uri needs table: say which table to load the objects into.")
        check_address(uri)
        loads = [any_objects(uri, table, dataset, slice or uri, location, force, bucket, credentials)]
    elif slice:
        raise UsageError("slice goes with uri; taxi trips know their own.")
    else:
        days = taxi.months_of(year, months, scheduled_start())
        loads = trips(taxi.color(color), days, table, dataset, location, force, bucket, credentials)
    return run_all("gcs-to-bigquery", load_objects, loads)


# What follows imports Google's clients when it is called: they take a second, which is too long for --help.


def check_address(uri: str) -> None:
    """Raise UsageError for what is no address of objects."""
    from longshore.sources.objects import parts_of

    parts_of(uri)


def any_objects(
    uri: str, table: str, dataset: str, slice: str, location: str | None, force: bool, bucket: str, credentials: str
) -> Load:
    """Any objects, as one slice."""
    client, store = blocks.bigquery_client(credentials), blocks.bucket(bucket).store
    from longshore.sinks.bigquery.load import BigQueryTable
    from longshore.sources.objects import Objects

    sink = BigQueryTable(client, dataset, table, cluster=("load_slice",), location=location)
    return Load(Objects(uri, store), sink, slice, slice, force=force, flow_run=run_id())


def trips(
    color: taxi.Trips,
    days: Sequence[date],
    table: str | None,
    dataset: str,
    location: str | None,
    force: bool,
    bucket: str,
    credentials: str,
) -> list[Load]:
    """A month's object each."""
    place, client = blocks.bucket(bucket), blocks.bigquery_client(credentials)
    from longshore.sinks.bigquery.load import BigQueryTable
    from longshore.sources.objects import Objects

    def objects(month: date) -> Objects:
        advice = ADVICE.format(color=color.color, year=month.year, month=month.month)
        return Objects(place.uri(color.object(month)), place.store, advice)

    return [
        Load(
            source=objects(month),
            sink=BigQueryTable(client, dataset, table or color.rides, month, (color.pickup,), location),
            slice=color.slice(month),
            title=color.slice(month),
            schema=color.schema,
            force=force,
            flow_run=run_id(),
        )
        for month in days
    ]
