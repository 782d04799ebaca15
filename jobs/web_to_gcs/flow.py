"""Web to GCS: each file becomes one Parquet object in a bucket, exactly once."""

from pathlib import PurePosixPath
from typing import Any

from prefect import flow
from prefect.states import Failed
from prefect_gcp import GcsBucket

from jobs.common import cloud
from jobs.common.backoff import Log
from jobs.common.errors import LoadError
from jobs.common.lake import copy
from jobs.common.report import Report
from jobs.common.schemas import declared_schema
from jobs.common.steps import run_all, run_id, scheduled_start, step
from jobs.common.tables.read import Format
from jobs.common.web import public_url
from jobs.datasets import taxi


def _copy(job: copy.Copy, bucket: str, log: Log) -> Report:
    client = cloud.bucket(bucket).gcp_credentials.get_cloud_storage_client()
    return copy.run(job, client.bucket(job.bucket), log)


copy_file = step("copy-file", _copy)


@flow(name="web-to-gcs")
def web_to_gcs(
    color: str = "yellow",
    year: int | None = None,
    months: list[int] | None = None,
    url: str | None = None,
    path: str | None = None,
    file_format: Format | None = None,
    columns: dict[str, str] | None = None,
    force: bool = False,
    bucket: str = "zoom-gcs",
) -> Any:
    """Copy months of taxi trips, or any one file, into a bucket as Parquet, exactly once. No row is left out.

    Args:
        color: Which taxi trips: yellow or green.
        year: The year of the months; alone, it means all twelve. Default with months: 2021.
        months: The months to copy, 1 to 12. Without year and months: the month before the scheduled start.
        url: Instead of taxi trips: any http(s) address of a csv, json, jsonl or parquet file, gzipped or not.
        path: With url: the object to write, such as raw/orders.parquet.
        file_format: The file's format where its name does not tell.
        columns: With url: the file's columns and SQL types, {"id": "bigint"}. Inferred when left out.
        force: Copy again even if the file has not changed.
        bucket: The GcsBucket block; GCS_BUCKET takes its place.
    """
    try:
        block = cloud.bucket(bucket)
        if url:
            jobs = [one_file(block, url, path, file_format, columns, force)]
        elif path or columns or file_format:
            raise LoadError("path, columns and file_format go with url; the taxi trips know their own.")
        else:
            jobs = trips(block, color, year, months, force)
    except LoadError as error:
        return Failed(message=str(error))
    return run_all("web-to-gcs", copy_file, jobs, bucket)


def one_file(
    block: GcsBucket,
    url: str,
    path: str | None,
    file_format: Format | None,
    columns: dict[str, str] | None,
    force: bool,
) -> copy.Copy:
    """Any one file. Raises LoadError when the object's path is not said, or cannot be."""
    if not path or path.startswith("/") or path.endswith("/") or "\\" in path or ".." in PurePosixPath(path).parts:
        raise LoadError(f"url needs path: the object to write, such as raw/orders.parquet, not {path!r}.")
    title = public_url(url).rsplit("/", 1)[-1]
    schema = declared_schema(columns) if columns else None
    return copy.Copy(url, block.bucket, cloud.object_name(block, path), title, file_format, schema, force, run_id())


def trips(block: GcsBucket, color: str, year: int | None, months: list[int] | None, force: bool) -> list[copy.Copy]:
    """A month's file each. Raises LoadError for a month that cannot be."""
    data = taxi.dataset(color)
    return [
        copy.Copy(
            url=data.url(month),
            bucket=block.bucket,
            path=cloud.object_name(block, data.object(month)),
            title=data.slice(month),
            schema=data.schema,
            force=force,
            flow_run=run_id(),
        )
        for month in taxi.months_of(year, months, scheduled_start())
    ]
