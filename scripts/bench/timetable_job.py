"""Our timetable of a GTFS zip on the disk, to Parquet in memory, in a process that holds all that the job's does.

It runs in the job's own environment: no import here that the job does not have.
"""

import importlib
import json
import sys
import time
from datetime import date
from io import BytesIO
from pathlib import Path

from pyarrow import parquet as pq

from jobs.late_buses.timetable import batches
from longshore.flows.flow import without_prefect


def main(path: str, agency: str, *days: str) -> None:
    """Print what it took, and how many rows there are."""
    with without_prefect():
        importlib.import_module("jobs.late_buses.flow")
    began = time.monotonic()
    reader = batches(Path(path), path, agency, [date.fromisoformat(day) for day in days])
    sink = BytesIO()
    with pq.ParquetWriter(sink, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)
    print(json.dumps({"seconds": time.monotonic() - began, "rows": pq.read_metadata(sink).num_rows}))


if __name__ == "__main__":
    main(*sys.argv[1:])
