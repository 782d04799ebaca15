"""Objects that fit into memory, read and written whole. One request writes one: it is replaced, or it is as before."""

from collections.abc import Mapping

import pyarrow as pa
from google.api_core.exceptions import NotFound
from google.cloud import storage
from pyarrow import parquet as pq

from longshore.backoff import Backoff
from longshore.errors import LoadError
from longshore.google import explained, retries

PARQUET, CSV = "application/vnd.apache.parquet", "text/csv; charset=utf-8"


def write(
    bucket: storage.Bucket,
    path: str,
    data: bytes,
    content_type: str,
    notes: Mapping[str, str] | None = None,
    backoff: Backoff | None = None,
) -> str:
    """Write an object, with notes as its metadata; its gs:// address. The service refuses what arrives damaged."""
    blob = bucket.blob(path)
    blob.metadata = dict(notes or {})
    blob.cache_control = "no-store"  # else who may read it without a login sees it up to an hour old
    uri = f"gs://{bucket.name}/{path}"
    with explained(uri):
        blob.upload_from_string(data, content_type, checksum="crc32c", retry=retries(backoff or Backoff()))
    return uri


def read(bucket: storage.Bucket, path: str, advice: str, backoff: Backoff | None = None) -> bytes:
    """An object's bytes. Raises LoadError, with the advice, where there is none."""
    uri = f"gs://{bucket.name}/{path}"
    with explained(uri):
        try:
            data: bytes = bucket.blob(path).download_as_bytes(retry=retries(backoff or Backoff()), checksum="crc32c")
        except NotFound:
            raise LoadError(f"{uri} is not there. {advice}") from None
    return data


def read_parquet(
    bucket: storage.Bucket, path: str, advice: str, dictionaries: bool = False, backoff: Backoff | None = None
) -> pa.Table:
    """The rows of a Parquet object. Raises LoadError where there is no such object, or where it is not Parquet.

    dictionaries: texts stay encoded as in the file. Where few of many differ that is five times as fast.
    """
    data = read(bucket, path, advice, backoff)
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        texts = [field.name for field in file.schema_arrow if dictionaries and pa.types.is_string(field.type)]
        return pq.read_table(pa.BufferReader(data), read_dictionary=texts)
    except (pa.ArrowException, OSError) as error:
        raise LoadError(f"gs://{bucket.name}/{path} is damaged Parquet: {error}. {advice}") from error
