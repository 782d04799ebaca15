"""Writing Parquet as rows come."""

import io
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq

from longshore.formats import parquet_parts

ROWS = pa.table({"n": range(1_000), "s": [f"text {n % 7}" for n in range(1_000)]}).to_batches()[0]


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_parts, "ROW_GROUP_ROWS", 100)


def written(cuts: list[int]) -> bytes:
    """The rows, cut into batches there."""
    edges = [0, *sorted(cuts), len(ROWS)]
    batches = [ROWS.slice(start, end - start) for start, end in pairwise(edges)]
    return b"".join(parquet_parts.parquet_parts(iter(batches), ROWS.schema))


WHOLE = st.lists(st.integers(0, len(ROWS)), max_size=30)


@settings(deadline=None, max_examples=50)
@given(WHOLE)
def test_the_same_rows_make_the_same_bytes_however_they_come(cuts: list[int]) -> None:
    assert written(cuts) == written([])


def test_the_file_holds_the_rows_in_groups_of_one_size() -> None:
    file = pq.ParquetFile(io.BytesIO(written([10, 555])))
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [100] * 10
    assert file.read().to_batches()[0].column("n").to_pylist() == list(range(1_000))


def test_no_rows_make_a_file_with_columns() -> None:
    data = b"".join(parquet_parts.parquet_parts(iter([]), ROWS.schema))
    assert pq.read_table(io.BytesIO(data)).schema.names == ["n", "s"]
