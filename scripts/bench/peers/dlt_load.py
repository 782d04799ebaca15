"""dlt, fed the fastest way it knows: Arrow tables, so that it need not look at single rows.

`parquet` loads Parquet files by the ADBC driver, `csv` loads csv files by COPY.
"""

import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from typing import Any, Literal

import dlt
import pyarrow as pa
import pyarrow.csv as pa_csv


def main(url: str, database: str, table: str, files: Literal["parquet", "csv"]) -> None:
    """Load a csv.gz from `url` into schema `bench_dlt`."""

    def rides() -> Iterator[Any]:
        options = pa_csv.ReadOptions(block_size=16 << 20)
        with urllib.request.urlopen(url) as answer:  # noqa: S310
            unpacked = pa.CompressedInputStream(pa.PythonFile(answer), "gzip")
            for batch in pa_csv.open_csv(unpacked, read_options=options):
                yield pa.Table.from_batches([batch])

    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            "bench",
            destination=dlt.destinations.postgres(database),
            dataset_name="bench_dlt",
            pipelines_dir=folder,
        )
        resource = dlt.resource(rides, name=table, write_disposition="replace")
        done = pipeline.run(resource, loader_file_format=files)
        done.raise_on_failed_jobs()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4])  # type: ignore[arg-type]
