"""Arrow batches -> the bytes of a Parquet file, as they come or at once."""

import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

ROW_GROUP_ROWS = 131_072


class _Sink(io.RawIOBase):
    """What a writer wrote since the last look."""

    def __init__(self) -> None:
        self._data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._data += data
        return len(data)

    def take(self) -> bytes:
        data, self._data = bytes(self._data), bytearray()
        return data


def parquet_parts(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    """The bytes of a Parquet file, a part for each row group.

    No dictionaries for times: they hardly repeat, and are smaller and faster without.
    """
    sink = _Sink()
    repeating = [f.name for f in schema if not pa.types.is_temporal(f.type)]
    with pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=repeating) as writer:
        for group in _groups(batches):
            writer.write_table(group, row_group_size=len(group))
            yield sink.take()
    yield sink.take()


def _groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Tables of the same number of rows, however the batches come: the same rows make the same bytes."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        while (missing := ROW_GROUP_ROWS - sum(map(len, held))) <= len(batch):
            yield pa.Table.from_batches([*held, batch.slice(0, missing)]).combine_chunks()
            held, batch = [], batch.slice(missing)
        if len(batch):
            held.append(batch)
    if held:
        yield pa.Table.from_batches(held).combine_chunks()


def parquet_file(rows: pa.Table | pa.RecordBatchReader) -> tuple[bytes, int]:
    """The rows as Parquet, the same ones as the same bytes; and how many they are."""
    reader = rows.to_reader() if isinstance(rows, pa.Table) else rows
    sink, count = io.BytesIO(), 0
    with pq.ParquetWriter(sink, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)
            count += batch.num_rows
    return sink.getvalue(), count
