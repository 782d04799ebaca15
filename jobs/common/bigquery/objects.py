"""The Parquet objects of a slice: which there are, and what their footers say. No row is read."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256

from google.cloud import storage

from jobs.common.backoff import Backoff
from jobs.common.bigquery.columns import check_columns, columns_of
from jobs.common.cloud import explained, patience
from jobs.common.errors import LoadError
from jobs.common.lake.footer import TIMEOUT, read_footer, uri_of

MOST = 10_000  # objects that one load job takes


@dataclass(frozen=True)
class Objects:
    """The objects of a slice, by name. versions: name and generation of each."""

    blobs: tuple[storage.Blob, ...] = field(compare=False)
    versions: tuple[tuple[str, str], ...]

    @property
    def fingerprint(self) -> str:
        """Changes when an object comes, goes or is written anew."""
        return sha256(json.dumps(self.versions).encode()).hexdigest()[:32]

    @property
    def uris(self) -> list[str]:
        return [uri_of(blob) for blob in self.blobs]


@dataclass(frozen=True)
class Footers:
    """What the footers of objects say. columns: name -> BigQuery type, in the objects' order.

    bytes: how much of the objects was read.
    """

    rows: int
    columns: dict[str, str]
    bytes: int


def parts_of(uri: str) -> tuple[str, str]:
    """Bucket and object, or pattern with one `*`, of a gs:// address. Raises LoadError when it is none."""
    match = re.fullmatch(r"gs://([^/*]+)/([^*]+|[^*]*\*[^*]*)", uri)
    if not match:
        raise LoadError(f"{uri!r} is no address of objects: give gs://BUCKET/OBJECT, with one * at most.")
    return match[1], match[2]


def find(uri: str, client: storage.Client, backoff: Backoff, advice: str) -> Objects:
    """The objects at the address. Raises LoadError where there is none; advice: what to do then."""
    bucket, pattern = parts_of(uri)
    prefix, star, end = pattern.partition("*")
    with explained(uri):
        found = client.list_blobs(
            bucket,
            prefix=prefix,
            max_results=None if star else 1,  # the name itself sorts before all that begin with it
            fields="items(name,generation,size),nextPageToken",
            timeout=TIMEOUT,
            retry=patience(backoff),
        )
        blobs = [blob for blob in found if _matches(blob.name, prefix, star, end)]
    if not blobs:
        raise LoadError(f"{uri}: {'no object matches' if star else 'there is no such object'}. {advice}")
    if len(blobs) > MOST:
        raise LoadError(f"{uri}: {len(blobs):,} objects; a load takes {MOST:,} at most. Split the slice.")
    blobs.sort(key=lambda blob: str(blob.name))
    return Objects(tuple(blobs), tuple((blob.name, str(blob.generation)) for blob in blobs))


def _matches(name: str, prefix: str, star: str, end: str) -> bool:
    if not star:
        return name == prefix
    return name.endswith(end) and len(name) >= len(prefix) + len(end) and not name.endswith("/")  # that is a folder


def read_footers(objects: Objects, expected: dict[str, str] | None, whose: str, backoff: Backoff) -> Footers:
    """Rows and columns by the objects' footers. Raises LoadError, with object and column, where one is not as expected.

    expected: column -> BigQuery type, None: as in the first object; whose: who expects them. The order of the columns
    is the first object's, and must be that of all: a load job takes no others.
    """
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda blob: _footers(blob, backoff), objects.blobs))
    first, first_uri = read[0].columns, objects.uris[0]
    whose = whose if expected else first_uri
    for uri, footer in zip(objects.uris, read, strict=True):
        check_columns(uri, footer.columns, expected or first, whose)
        if list(footer.columns) != list(first):
            moved = next(column for column, other in zip(footer.columns, first, strict=True) if column != other)
            raise LoadError(
                f"{uri}: column {moved!r} is at another place than in {first_uri}. Load it by itself, or write all"
                " objects with the columns in one order."
            )
    return Footers(sum(footer.rows for footer in read), first, sum(footer.bytes for footer in read))


def _footers(blob: storage.Blob, backoff: Backoff) -> Footers:
    """The footer of one object."""
    footer = read_footer(blob, backoff)
    return Footers(footer.rows, columns_of(uri_of(blob), footer.schema), footer.bytes)
