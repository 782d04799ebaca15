"""One file on the web becomes one Parquet object in a bucket: whole, or not at all."""

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256

import pyarrow as pa
from google.cloud import storage

from jobs.common.backoff import Backoff, Log
from jobs.common.cloud import explained, patience
from jobs.common.errors import LoadError
from jobs.common.lake.footer import read_footer
from jobs.common.lake.parquet_parts import parquet_parts
from jobs.common.lake.upload import Upload, uploading
from jobs.common.read_ahead import read_ahead
from jobs.common.report import Report
from jobs.common.rows import Counts, kept, telling, widening
from jobs.common.rules import NO_RULE
from jobs.common.tables.read import Format, read_table
from jobs.common.web import open_url


@dataclass(frozen=True)
class Copy:
    """What to copy and where to. schema: the declared columns, None to infer them; path: of the object."""

    url: str
    bucket: str
    path: str
    title: str
    file_format: Format | None = None
    schema: pa.Schema | None = None
    force: bool = False
    flow_run: str | None = None

    @property
    def target(self) -> str:
        return f"gs://{self.bucket}/{self.path}"

    @property
    def slice(self) -> str:
        return self.path


def run(copy: Copy, bucket: storage.Bucket, log: Log, backoff: Backoff | None = None) -> Report:
    """Copy the file, or do nothing when the object holds it already.

    The object's metadata say what it was made of: source, etag, schema, and, once all is verified, rows. On any error
    (LoadError, with file, row, column) the object is as before.
    """
    return widening(copy.title, lambda inferred: _attempt(copy, bucket, log, backoff or Backoff(), inferred), log)


def _attempt(copy: Copy, bucket: storage.Bucket, log: Log, backoff: Backoff, inferred: pa.Schema | None) -> Report:
    started = time.monotonic()
    with ExitStack() as stack:
        remote = stack.enter_context(open_url(copy.url, log, backoff))
        with explained(copy.target):
            before = bucket.get_blob(copy.path, retry=patience(backoff))
        made_of = {"source": remote.name, "etag": remote.fingerprint or "", "schema": _settings(copy)}
        if before and remote.fingerprint and not copy.force:
            there = before.metadata or {}
            if "rows" in there and made_of.items() <= there.items():
                return Report(copy.title, copy.target, copy.slice, "unchanged")
        table = read_table(remote, stack, copy.file_format, inferred or copy.schema, widen=copy.schema is None)
        schema = pa.schema([f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in table.schema])
        counts = Counts()
        rows = stack.enter_context(read_ahead(kept(table.batches, remote.name, schema, NO_RULE, counts)))
        parts = stack.enter_context(read_ahead(parquet_parts(telling(rows, copy.title, counts, log), schema)))
        blob = bucket.blob(copy.path)
        blob.metadata = made_of | ({"flow_run": copy.flow_run} if copy.flow_run else {})
        generation = int(before.generation) if before else 0
        with uploading(blob, "application/vnd.apache.parquet", generation, log, backoff) as upload:
            for part in parts:
                upload.write(part)
        _verify(blob, upload, counts.read, backoff)
    seconds = time.monotonic() - started
    return Report(
        copy.title, copy.target, copy.slice, "loaded", counts.read, {}, counts.read, remote.bytes_received, seconds
    )


def _settings(copy: Copy) -> str:
    """Fingerprint of what decides the object's content besides the source."""
    columns = {f.name: str(f.type) for f in copy.schema} if copy.schema else "inferred"
    return sha256(json.dumps([copy.file_format, columns]).encode()).hexdigest()[:16]


def _verify(blob: storage.Blob, upload: Upload, rows: int, backoff: Backoff) -> None:
    """Note the rows in the object's metadata, once it is seen to be what was sent. Raises LoadError when it is not."""
    generation, metadata = int(upload.resource["generation"]), blob.metadata
    sent, there = (upload.crc32c, upload.size), (upload.resource["crc32c"], int(upload.resource["size"]))
    with explained(upload.name):
        if sent != there:  # the service refuses it before, by the checksum in the upload's last request
            blob.delete(if_generation_match=generation, retry=patience(backoff))
            raise LoadError(f"{upload.name}: sent {sent} (crc32c, bytes), arrived {there}; removed.", transient=True)
        blob.reload(if_generation_match=generation, retry=patience(backoff))
        arrived = read_footer(blob, backoff).rows
        if arrived != rows:
            raise LoadError(f"{upload.name}: {rows:,} rows read, but {arrived:,} are in the object.")
        blob.metadata = {**metadata, "rows": str(rows)}
        blob.patch(if_generation_match=generation, retry=patience(backoff))
