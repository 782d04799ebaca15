"""Short forms that the tests of loads into BigQuery share."""

from typing import Any

import pyarrow as pa

from longshore.flows import blocks
from longshore.report import Report
from longshore.sinks.bigquery.load import BigQueryTable
from longshore.sinks.load import Load
from longshore.sources.objects import Objects
from tests.conftest import Cloud
from tests.integration.loading import LOG, SOON, parquet

Tables = dict[str, list[tuple[Any, ...]]]


def numbers(count: int, start: int = 0) -> pa.Table:
    return pa.table({"n": pa.array(range(start, start + count), pa.int32())})


def put_object(cloud: Cloud, name: str, data: pa.Table | bytes) -> str:
    """The object holds the table, or these bytes; its address."""
    blob = cloud.bucket.blob(name)
    blob.upload_from_string(data if isinstance(data, bytes) else parquet(data))
    return f"gs://{cloud.bucket.name}/{name}"


def load_objects(cloud: Cloud, uri: str, table: str = "t", **options: Any) -> Report:
    """Load objects as the flow does, the address being the slice."""
    options = {"slice": uri, "title": uri.rsplit("/", 1)[-1], "dataset": cloud.dataset} | options
    place = {name: options.pop(name) for name in ("dataset", "month", "cluster", "location") if name in options}
    sink = BigQueryTable(blocks.bigquery_client("zoom-gcp-creds"), table=table, **place)
    advice = {name: options.pop(name) for name in ("advice",) if name in options}
    return Load(Objects(uri, blocks.bucket("zoom-gcs").store, **advice), sink, **options).run(LOG, SOON)


def tables(cloud: Cloud) -> Tables:
    """Rows of every table of the dataset, the ledger's as well, by the table's name."""
    found = {table.dataset_id: table for table in cloud.bigquery.list_datasets()}
    if cloud.dataset not in found:
        return {}
    return {table.table_id: cloud.contents(table.table_id) for table in cloud.bigquery.list_tables(cloud.dataset)}
