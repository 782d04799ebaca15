"""A source becomes one Parquet object in a bucket: whole, or not at all."""

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256

import pyarrow as pa
from google.cloud import storage

from longshore import report
from longshore.backoff import Backoff, Log
from longshore.errors import LoadError
from longshore.formats.parquet_parts import parquet_parts
from longshore.google import explained, retries
from longshore.read_ahead import read_ahead
from longshore.report import Report
from longshore.rows.kept import Counts, kept, telling
from longshore.rows.table import widening
from longshore.sinks.lake.upload import Upload, uploading
from longshore.sinks.lake.whole import PARQUET
from longshore.sinks.load import Load
from longshore.sources.footer import read_footer


@dataclass(frozen=True)
class BucketObject:
    """An object of a bucket, by its whole name; replaced where it is there."""

    bucket: storage.Bucket
    path: str

    @property
    def name(self) -> str:
        return f"gs://{self.bucket.name}/{self.path}"

    def load(self, load: Load, log: Log, backoff: Backoff) -> Report:
        """The object's metadata say what it was made of: source, etag, schema, and, once all is verified, rows. On any
        error (LoadError, with file, row, column) the object is as before.
        """
        return widening(load.title, lambda inferred: self._attempt(load, log, backoff, inferred), log)

    def _attempt(self, load: Load, log: Log, backoff: Backoff, inferred: pa.Schema | None) -> Report:
        started = time.monotonic()
        with ExitStack() as stack:
            source = stack.enter_context(load.source.open(log, backoff))
            with explained(self.name):
                before = self.bucket.get_blob(self.path, retry=retries(backoff))
            made_of = {"source": source.name, "etag": source.fingerprint or "", "schema": _settings(load)}
            if before and source.fingerprint and not load.force:
                there = before.metadata or {}
                if "rows" in there and made_of.items() <= there.items():
                    return report.unchanged(load)
            table = source.table(inferred or load.schema, widen=load.schema is None)
            schema = pa.schema([f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in table.schema])
            counts = Counts()
            rows = stack.enter_context(read_ahead(kept(table.batches, source.name, schema, load.rule, counts)))
            parts = stack.enter_context(read_ahead(parquet_parts(telling(rows, load.title, counts, log), schema)))
            blob = self.bucket.blob(self.path)
            blob.metadata = made_of | ({"flow_run": load.flow_run} if load.flow_run else {})
            generation = int(before.generation) if before else 0
            with uploading(blob, PARQUET, generation, log, backoff) as upload:
                for part in parts:
                    upload.write(part)
            _verify(blob, upload, counts.kept, backoff)
        return report.loaded(load, started, counts.read, counts.kept, counts.dropped, source.bytes_received)


def _settings(load: Load) -> str:
    """Fingerprint of what decides the object's content besides the source."""
    decides = [load.source.file_format, load.columns(), *([sorted(load.rule.drops)] if load.rule.drops else [])]
    return sha256(json.dumps(decides).encode()).hexdigest()[:16]


def _verify(blob: storage.Blob, upload: Upload, rows: int, backoff: Backoff) -> None:
    """Note the rows in the object's metadata, once it is seen to be what was sent. Raises LoadError when it is not."""
    generation, metadata = int(upload.resource["generation"]), blob.metadata
    sent, there = (upload.crc32c, upload.size), (upload.resource["crc32c"], int(upload.resource["size"]))
    with explained(upload.name):
        if sent != there:  # the service refuses it before, by the checksum in the upload's last request
            blob.delete(if_generation_match=generation, retry=retries(backoff))
            raise LoadError(f"{upload.name}: sent {sent} (crc32c, bytes), arrived {there}; removed.", retryable=True)
        blob.reload(if_generation_match=generation, retry=retries(backoff))
        arrived = read_footer(blob, backoff).rows
        if arrived != rows:
            raise LoadError(f"{upload.name}: {rows:,} rows read, but {arrived:,} are in the object.")
        blob.metadata = {**metadata, "rows": str(rows)}
        blob.patch(if_generation_match=generation, retry=retries(backoff))
