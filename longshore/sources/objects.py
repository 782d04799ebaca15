"""Objects of a bucket: which there are, in which versions, and their rows."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain

import pyarrow as pa
from google.cloud import storage

from longshore.backoff import Backoff, Log
from longshore.errors import LoadError, UsageError
from longshore.formats.file import Format, format_of
from longshore.google import explained, retries
from longshore.rows.table import Table
from longshore.sources.footer import TIMEOUT, read_part, uri_of

CHUNK_BYTES = 8 << 20
MOST = 10_000  # objects that one load job takes


@dataclass(frozen=True)
class Objects:
    """The objects at gs://BUCKET/OBJECT, with one * at most: Parquet, or what their endings say.

    advice: what to do where there are none.
    """

    uri: str
    store: storage.Client
    advice: str = "Is the address right?"
    file_format: Format | None = None

    @property
    def title(self) -> str:
        return self.uri

    @contextmanager
    def open(self, log: Log, backoff: Backoff) -> Iterator["FoundObjects"]:
        """Those that are there now. Raises LoadError where there are none."""
        with ExitStack() as stack:
            yield FoundObjects(self, *find(self.uri, self.store, backoff, self.advice), backoff, stack)


@dataclass(frozen=True)
class FoundObjects:
    """The objects of a slice, by name. versions: name and generation of each."""

    source: Objects
    blobs: tuple[storage.Blob, ...] = field(compare=False)
    versions: tuple[tuple[str, str], ...]
    backoff: Backoff = field(compare=False)
    stack: ExitStack = field(compare=False)

    @property
    def name(self) -> str:
        return self.source.uri

    @property
    def fingerprint(self) -> str:
        """Changes when an object comes, goes or is written anew."""
        return sha256(json.dumps(self.versions).encode()).hexdigest()[:32]

    @property
    def uris(self) -> list[str]:
        return [uri_of(blob) for blob in self.blobs]

    @property
    def bytes_received(self) -> int:
        return sum(int(blob.size or 0) for blob in self.blobs)

    def changed(self) -> bool:
        """Whether an object has come, gone or been written anew since these were found."""
        _, versions = find(self.source.uri, self.source.store, self.backoff, self.source.advice)
        return versions != self.versions

    def table(self, schema: pa.Schema | None, widen: bool) -> Table:
        """The rows of all objects, in the columns of the first; see Opened."""
        from longshore.formats.read import read_table  # its packages are not in the images of jobs that read no rows

        def one(blob: storage.Blob, wanted: pa.Schema | None) -> Table:
            file_format = self.source.file_format or format_of(blob.name) or "parquet"
            return read_table(ObjectFile(blob, self.backoff), self.stack, file_format, wanted, widen)

        first = one(self.blobs[0], schema)
        others = (batch for blob in self.blobs[1:] for batch in one(blob, first.schema).batches)
        return Table(first.schema, chain(first.batches, others))


@dataclass(frozen=True)
class ObjectFile:
    """An object as the formats read it."""

    blob: storage.Blob
    backoff: Backoff

    @property
    def name(self) -> str:
        return uri_of(self.blob)

    @property
    def size(self) -> int:
        return int(self.blob.size or 0)

    def chunks(self) -> Iterator[bytes]:
        """See File."""
        for start in range(0, self.size, CHUNK_BYTES):
            yield self.read_at(start, min(CHUNK_BYTES, self.size - start))

    def read_at(self, start: int, length: int) -> bytes:
        """See File."""
        return read_part(self.blob, start, length, self.backoff)

    def close(self) -> None:
        """Nothing is held open."""


def parts_of(uri: str) -> tuple[str, str]:
    """Bucket and object, or pattern with one `*`, of a gs:// address. Raises UsageError when it is none."""
    match = re.fullmatch(r"gs://([^/*]+)/([^*]+|[^*]*\*[^*]*)", uri)
    if not match:
        raise UsageError(f"{uri!r} is no address of objects: give gs://BUCKET/OBJECT, with one * at most.")
    return match[1], match[2]


def find(
    uri: str, client: storage.Client, backoff: Backoff, advice: str
) -> tuple[tuple[storage.Blob, ...], tuple[tuple[str, str], ...]]:
    """The objects at the address, and their versions. Raises LoadError where there is none; advice: what to do then."""
    bucket, pattern = parts_of(uri)
    prefix, star, end = pattern.partition("*")
    with explained(uri):
        found = client.list_blobs(
            bucket,
            prefix=prefix,
            max_results=None if star else 1,  # the name itself sorts before all that begin with it
            fields="items(name,generation,size),nextPageToken",
            timeout=TIMEOUT,
            retry=retries(backoff),
        )
        blobs = [blob for blob in found if _matches(blob.name, prefix, star, end)]
    if not blobs:
        raise LoadError(f"{uri}: {'no object matches' if star else 'there is no such object'}. {advice}")
    if len(blobs) > MOST:
        raise LoadError(f"{uri}: {len(blobs):,} objects; a load takes {MOST:,} at most. Split the slice.")
    blobs.sort(key=lambda blob: str(blob.name))
    return tuple(blobs), tuple((blob.name, str(blob.generation)) for blob in blobs)


def _matches(name: str, prefix: str, star: str, end: str) -> bool:
    if not star:
        return name == prefix
    return name.endswith(end) and len(name) >= len(prefix) + len(end) and not name.endswith("/")  # that is a folder
