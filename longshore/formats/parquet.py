"""Parquet over HTTP, a row group at a time by Range requests -> typed Arrow batches."""

import io
from collections.abc import Iterator

import pyarrow as pa
from pyarrow import parquet as pq

from longshore.errors import LoadError
from longshore.formats.file import File, NoRanges
from longshore.rows.fit import cast
from longshore.schemas import check_names, storable

FOOTER_BYTES = 64 << 10
WINDOW_BYTES = 64 << 20  # a row group up to this size is fetched by one request, a larger one page by page
AT_LEAST_BYTES = 4 << 20  # row groups smaller than this share a request
WHOLE_BYTES = 256 << 20  # what is held whole where the server has no Range requests
BATCH_ROWS = 16_384  # more is no faster and takes more memory


class RangeFile(io.RawIOBase):
    """A file that can seek. What lies in the window or the footer costs no request."""

    def __init__(self, remote: File) -> None:
        if remote.size is None:
            raise LoadError(f"{remote.name}: the server does not say how large the file is; Parquet needs that.")
        self.remote, self.size, self.position = remote, remote.size, 0
        footer = max(0, self.size - FOOTER_BYTES)
        try:
            self.held = [(footer, remote.read_at(footer, self.size - footer))]
            remote.close()  # the answer to the first request was for its headers only
        except NoRanges:
            if self.size > WHOLE_BYTES:
                raise LoadError(
                    f"{remote.name}: {self.size:,} bytes of Parquet from a server without Range requests;"
                    f" up to {WHOLE_BYTES >> 20} MiB can be held in memory. Put the file on another server."
                ) from None
            self.held = [(0, b"".join(remote.chunks()))]

    def hold(self, start: int, length: int) -> None:
        """Fetch a window; it takes the place of the one before."""
        if any(first <= start and start + length <= first + len(data) for first, data in self.held):
            return
        length = max(length, min(AT_LEAST_BYTES, self.size - start))
        self.held[1:] = []
        self.held.append((start, self._fetch(start, length)))

    def _fetch(self, start: int, length: int) -> bytes:
        try:
            return self.remote.read_at(start, length)
        except NoRanges:
            raise LoadError(
                f"{self.remote.name}: the server answers Range requests only at times. Run it again."
            ) from None

    def read(self, size: int | None = -1) -> bytes:
        left = self.size - self.position
        size = left if size is None or size < 0 else min(size, left)
        for start, data in self.held:
            if start <= self.position and self.position + size <= start + len(data):
                part = data[self.position - start : self.position - start + size]
                break
        else:
            part = self._fetch(self.position, size)
        self.position += size
        return part

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        return self.position

    def tell(self) -> int:
        return self.position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def open_parquet(remote: File, schema: pa.Schema | None) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Schema (declared, or the file's own in supported types) and batches of a Parquet file."""
    file = RangeFile(remote)
    try:
        reader = pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)
    except (pa.ArrowException, OSError) as error:
        raise LoadError(f"{remote.name} is not Parquet, or damaged: {error}.") from error
    check_names(remote.name, reader.schema_arrow.names, schema)
    schema = schema or pa.schema([storable(field) for field in reader.schema_arrow])
    return schema, _batches(remote.name, reader, file, schema)


def _batches(name: str, reader: pq.ParquetFile, file: RangeFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    rows = 0
    try:
        for group in range(reader.num_row_groups):
            start, length = _span(reader.metadata.row_group(group))
            if length <= WINDOW_BYTES:
                file.hold(start, length)
            for batch in reader.iter_batches(BATCH_ROWS, row_groups=[group]):
                yield cast(name, batch, schema, rows)
                rows += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise LoadError(f"{name}, behind row {rows:,}: damaged Parquet: {error}.") from error


def _span(group: pq.RowGroupMetaData) -> tuple[int, int]:
    columns = [group.column(i) for i in range(group.num_columns)]
    starts = [c.dictionary_page_offset or c.data_page_offset for c in columns]
    ends = [start + c.total_compressed_size for start, c in zip(starts, columns, strict=True)]
    return min(starts), max(ends) - min(starts)
