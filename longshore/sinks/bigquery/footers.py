"""What the footers of a slice's Parquet objects say, as BigQuery takes it. No row is read."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from google.cloud import storage

from longshore.backoff import Backoff
from longshore.errors import LoadError
from longshore.sinks.bigquery.columns import check_columns, columns_of
from longshore.sources.footer import read_footer, uri_of
from longshore.sources.objects import FoundObjects


@dataclass(frozen=True)
class Footers:
    """What the footers of objects say. columns: name -> BigQuery type, in the objects' order.

    bytes: how much of the objects was read.
    """

    rows: int
    columns: dict[str, str]
    bytes: int


def read_footers(objects: FoundObjects, expected: dict[str, str] | None, whose: str, backoff: Backoff) -> Footers:
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
