"""What the footer of a Parquet object says, read without its rows."""

from dataclasses import dataclass

import pyarrow as pa
from google.cloud import storage
from pyarrow import parquet as pq

from longshore.backoff import Backoff
from longshore.errors import LoadError
from longshore.google import explained, retries

FIRST_LOOK_BYTES = 64 << 10
TIMEOUT = 60.0
MAGIC = b"PAR1"


@dataclass(frozen=True)
class Footer:
    """Rows and columns of an object; bytes: how much of it was read."""

    rows: int
    schema: pa.Schema
    bytes: int


def uri_of(blob: storage.Blob) -> str:
    return f"gs://{blob.bucket.name}/{blob.name}"


def read_footer(blob: storage.Blob, backoff: Backoff) -> Footer:
    """The footer of an object whose size and generation are known. Raises LoadError when it is no whole Parquet."""
    name, size = uri_of(blob), int(blob.size or 0)
    tail = _tail(blob, min(size, FIRST_LOOK_BYTES), backoff)
    length, read = int.from_bytes(tail[-8:-4], "little") + 8, len(tail)
    if tail[-4:] != MAGIC or length + len(MAGIC) > size:
        raise LoadError(f"{name} is not Parquet, or was cut off: it ends with {tail[-8:]!r}. Write it anew.")
    if length > len(tail):
        tail = _tail(blob, length, backoff)
        read += length
    try:
        footer = pq.read_metadata(pa.BufferReader(MAGIC + tail[-length:]))
        return Footer(footer.num_rows, footer.schema.to_arrow_schema(), read)
    except (pa.ArrowException, OSError) as error:
        raise LoadError(f"{name} is damaged Parquet: {error}. Write it anew.") from error


def _tail(blob: storage.Blob, length: int, backoff: Backoff) -> bytes:
    """The last bytes of the object."""
    return read_part(blob, blob.size - length, length, backoff) if length else b""


def read_part(blob: storage.Blob, start: int, length: int, backoff: Backoff) -> bytes:
    """`length` bytes of an object whose generation is known, from `start`."""
    with explained(uri_of(blob)):
        data: bytes = blob.download_as_bytes(
            start=start,
            end=start + length - 1,
            if_generation_match=blob.generation,
            checksum=None,
            timeout=TIMEOUT,
            retry=retries(backoff),
        )
    return data
