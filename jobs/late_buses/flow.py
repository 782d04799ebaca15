"""Late buses: a live feed of positions, compared with the timetable, becomes a list for the map, and history."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jobs.late_buses import append_history, fetch_feed, fetch_timetable, find_late, source, store
from jobs.late_buses.compare import Rule
from longshore.flows.flow import flow, subflow
from longshore.flows.runner import Step, Stopped, runner
from longshore.flows.steps import clock, renamed
from longshore.report import Report

fetch_positions = Step("fetch-positions", fetch_feed.run)
fetch_stop_times = Step("fetch-stop-times", fetch_timetable.run)
find_late_buses = Step("find-late-buses", find_late.run)
append_late_buses = Step("append-late-buses", append_history.run)


@flow(name="get-bus-timetables")
def get_bus_timetables(
    timetable_url: str | None = None,
    agency: str = "First Leeds",
    now: datetime | None = None,
    force: bool = False,
    bucket: str = "zoom-gcs",
) -> Sequence[Report]:
    """Take one agency's stop times of yesterday, today and tomorrow out of a region's GTFS zip, into the bucket.

    Args:
        timetable_url: The zip. Default: Yorkshire's, of the UK's Bus Open Data Service.
        agency: The bus company, as agency.txt has its name.
        now: The time at which the days are taken, with its offset. Default: the clock's.
        force: Take it again even if neither the zip nor the days have changed.
        bucket: The GcsBucket block; GCS_BUCKET takes its place.
    """
    job = fetch_timetable.Fetch(source.timetable_url(timetable_url), agency, now, force)
    return [fetch_stop_times(job, bucket)]


@flow(name="get-live-bus-locations")
def get_live_bus_locations(
    feed_url: str | None = None,
    area: dict[str, float] | None = None,
    api_key: str = "bods-api-key",
    bucket: str = "zoom-gcs",
) -> Sequence[Report]:
    """Put the latest position of each bus in an area into the bucket: the newest ones, and a history by day.

    Args:
        feed_url: The GTFS-Realtime feed. Default: that of the UK's Bus Open Data Service.
        area: min_lat, max_lat, min_long, max_long, in degrees. Default: Leeds.
        api_key: The Secret block with the feed's key; BODS_API_KEY takes its place.
        bucket: The GcsBucket block; GCS_BUCKET takes its place.
    """
    job = fetch_feed.Fetch(source.feed_url(feed_url), area)
    return [fetch_positions(job, bucket, api_key)]


@flow(name="compare-bus-times")
def compare_bus_times(
    live: str = store.LIVE,
    late_minutes: float = 10,
    fresh_minutes: float = 30,
    now: datetime | None = None,
    bucket: str = "zoom-gcs",
) -> Sequence[Report]:
    """Compare positions with the timetable, and write late_buses.csv: the buses that are late now.

    Args:
        live: The object with the positions.
        late_minutes: A bus is late when it is more minutes than this behind the timetable.
        fresh_minutes: A position older than this says nothing any more.
        now: The time to compare at, with its offset. Default: the clock's.
        bucket: The GcsBucket block; GCS_BUCKET takes its place.
    """
    job = find_late.Find(live, now, Rule(late_minutes, fresh_minutes))
    return [find_late_buses(job, bucket)]


@flow(name="write-late-buses-bq")
def write_late_buses_bq(
    sinks: list[str] | None = None,
    dataset: str = "bus_tracker",
    table: str = "raw_late_buses",
    location: str | None = None,
    bucket: str = "zoom-gcs",
    credentials: str = "zoom-gcp-creds",
    connector: str = "postgres-connector",
    block: str | None = None,
) -> Sequence[Report]:
    """Append the late buses of late_buses.csv to the history, each observation once.

    Args:
        sinks: Where to: bigquery, postgres or both. Default: bigquery.
        dataset: The BigQuery dataset. Made when it is not there.
        table: The table, in either sink.
        location: Where a new dataset is made, such as EU. Default: where the bucket is.
        bucket: The GcsBucket block; GCS_BUCKET takes its place.
        credentials: The GcpCredentials block whose project has the dataset; GCP_PROJECT takes its place.
        connector: The SqlAlchemyConnector block of Postgres; WAREHOUSE_URL takes its place.
        block: The old name of connector.
    """
    connector = renamed("block", block, "connector", connector)
    jobs = [append_history.Append(sink, dataset, table, location) for sink in sinks or ["bigquery"]]
    return [append_late_buses(job, bucket, credentials, connector) for job in jobs]


@flow(name="master-flow")
def master_flow(
    feed_url: str | None = None,
    area: dict[str, float] | None = None,
    timetable_url: str | None = None,
    agency: str = "First Leeds",
    late_minutes: float = 10,
    fresh_minutes: float = 30,
    sinks: list[str] | None = None,
    dataset: str = "bus_tracker",
    table: str = "raw_late_buses",
    location: str | None = None,
    now: datetime | None = None,
    api_key: str = "bods-api-key",
    bucket: str = "zoom-gcs",
    credentials: str = "zoom-gcp-creds",
    connector: str = "postgres-connector",
    block: str | None = None,
) -> Sequence[Report]:
    """One look at the buses: fetch positions, compare them with the timetable, append the late ones to the history.

    Fetches the timetable first where there is none for today.

    Args:
        feed_url: The GTFS-Realtime feed. Default: that of the UK's Bus Open Data Service.
        area: min_lat, max_lat, min_long, max_long, in degrees. Default: Leeds.
        timetable_url: The GTFS zip, for the first time. Default: Yorkshire's.
        agency: The bus company, as agency.txt has its name.
        late_minutes: A bus is late when it is more minutes than this behind the timetable.
        fresh_minutes: A position older than this says nothing any more.
        sinks: Where the history goes: bigquery, postgres or both. Default: bigquery.
        dataset: The BigQuery dataset. Made when it is not there.
        table: The table of the history, in either sink.
        location: Where a new dataset is made, such as EU. Default: where the bucket is.
        now: The time to compare at, with its offset. Default: the clock's.
        api_key: The Secret block with the feed's key; BODS_API_KEY takes its place.
        bucket: The GcsBucket block; GCS_BUCKET takes its place.
        credentials: The GcpCredentials block whose project has the dataset; GCP_PROJECT takes its place.
        connector: The SqlAlchemyConnector block of Postgres; WAREHOUSE_URL takes its place.
        block: The old name of connector.
    """
    connector = renamed("block", block, "connector", connector)
    check(sinks, area, now)
    runner().skip_overdue()
    done: list[Report] = []
    try:
        if fetch_timetable.missing(bucket, agency, now):
            _do(done, get_bus_timetables, timetable_url, agency, now, bucket=bucket)
        live = _do(done, get_live_bus_locations, feed_url, area, api_key, bucket)
        late = _do(done, compare_bus_times, live[0].slice, late_minutes, fresh_minutes, now, bucket)
        if late[0].rows_loaded:
            _do(done, write_late_buses_bq, sinks, dataset, table, location, bucket, credentials, connector)
    finally:
        runner().skip_overdue()
    return done


def check(sinks: Sequence[str] | None, area: Mapping[str, float] | None, now: datetime | None) -> None:
    """Raise UsageError for what cannot be, before a look has begun."""
    append_history.check(sinks or ())
    source.query(area, "")
    clock(now)


def _do(done: list[Report], flow: Any, *args: Any, **kwargs: Any) -> Sequence[Report]:
    """Run a subflow; what it did, which is added to what was done before. Raises Stopped when it failed: what follows
    would work on old data.
    """
    ended = subflow(flow, *args, **kwargs)
    if not ended.completed or not ended.reports:
        raise Stopped(ended, done)
    done += ended.reports
    return ended.reports
