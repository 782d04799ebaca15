"""Short forms that the integration tests share."""

import io
import logging
import os
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

from longshore.backoff import Backoff
from longshore.report import Report
from longshore.schemas import declared_schema
from longshore.sinks.load import Load
from longshore.sinks.postgres.load import PostgresTable
from longshore.sources.web import WebFile
from standins.web.server import Site
from tests.conftest import Database

LOG = logging.getLogger("tests")
SOON = Backoff(attempts=3, first=0.0)


def put(site: Site, name: str, data: bytes) -> str:
    """The file is on the site with these bytes; its URL. Another content is another ETag."""
    path = site.root / name
    stamp = path.stat().st_mtime + 1 if path.exists() else 1_600_000_000
    path.write_bytes(data)
    os.utime(path, (stamp, stamp))
    return f"{site.url}/files/{name}"


def load_file(
    database: Database, url: str, table: str = "t", columns: dict[str, str] | None = None, **options: Any
) -> Report:
    """Load one file, its URL being the slice."""
    schema = declared_schema(columns) if columns else None
    options = {"slice": url, "title": url.rsplit("/", 1)[-1], **options}
    source = WebFile(url, options.pop("file_format", None))
    return Load(source, PostgresTable(database.engine, table), schema=schema, **options).run(LOG, SOON)


def parquet(table: pa.Table, **options: Any) -> bytes:
    """The table as a Parquet file."""
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()
