"""Web to GCS: each file becomes one Parquet object in a bucket, exactly once."""

from collections.abc import Sequence
from datetime import date
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pyarrow as pa

from longshore.datasets import taxi
from longshore.errors import UsageError
from longshore.flows import blocks
from longshore.flows.flow import flow
from longshore.flows.steps import load_step, run_all, run_id, scheduled_start
from longshore.formats.file import Format
from longshore.report import Report
from longshore.schemas import declared_schema
from longshore.sinks.load import Load
from longshore.sources.web import WebFile

if TYPE_CHECKING:
    from longshore.google import Bucket
    from longshore.sinks.lake.load import BucketObject

copy_file = load_step("copy-file")


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
) -> Sequence[Report]:
    """Copy months of taxi trips, or any one file, into a bucket as Parquet, exactly once. No row is left out.

    Args:
        color: Which taxi trips: yellow or green.
        year: The year of the months; alone, it means all twelve. Default with months: 2021.
        months: The months, 1 to 12. Without year and months: the month before the scheduled start.
        url: Instead of taxi trips: any http(s) address of a csv, json, jsonl or parquet file, gzipped or not.
        path: With url: the object to write, such as raw/orders.parquet.
        file_format: With url: the file's format, where its name does not tell.
        columns: With url: the file's columns and SQL types, {"id": "bigint"}. Inferred when left out.
        force: Load again even if nothing has changed.
        bucket: The GcsBucket block; GCS_BUCKET takes its place.
    """
    if url:
        if year or months:
            raise UsageError("year and months go with taxi trips, not with url.")
        schema = declared_schema(columns) if columns else None
        loads = [one_file(WebFile(url, file_format), checked_path(path), schema, force, bucket)]
    elif path or columns or file_format:
        raise UsageError("path, columns and file_format go with url; taxi trips know their own.")
    else:
        loads = trips(taxi.color(color), taxi.months_of(year, months, scheduled_start()), force, bucket)
    return run_all("web-to-gcs", copy_file, loads)


def one_file(file: WebFile, path: str, schema: pa.Schema | None, force: bool, block: str) -> Load:
    """Any one file, as the object at this path."""
    sink = bucket_object(blocks.bucket(block), path)
    return Load(file, sink, sink.path, schema=schema, force=force, flow_run=run_id())


def trips(color: taxi.Trips, days: Sequence[date], force: bool, block: str) -> list[Load]:
    """A month's file each."""
    place = blocks.bucket(block)
    return [
        Load(
            source=WebFile(color.url(month)),
            sink=bucket_object(place, color.object(month)),
            slice=place.path(color.object(month)),
            title=color.slice(month),
            schema=color.schema,
            force=force,
            flow_run=run_id(),
        )
        for month in days
    ]


def bucket_object(place: "Bucket", path: str) -> "BucketObject":
    """The object at this path."""
    from longshore.sinks.lake.load import BucketObject  # not for --help: Google's clients take a second to import

    return BucketObject(place.bucket, place.path(path))


def checked_path(path: str | None) -> str:
    """The object's path. Raises UsageError when it is not said, or cannot be."""
    if not path or path.startswith("/") or path.endswith("/") or "\\" in path or ".." in PurePosixPath(path).parts:
        raise UsageError(f"url needs path: the object to write, such as raw/orders.parquet, not {path!r}.")
    return path
