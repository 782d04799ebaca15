"""The whole file in memory, each step after the other: what web-to-GCS is held against. Nothing is uploaded."""

import json
import sys
import time
import urllib.request

import pyarrow as pa
from isal import igzip
from pyarrow import csv, parquet

from longshore.datasets.taxi import color


def main(url: str, path: str) -> None:
    """A yellow taxi csv.gz from `url` to a Parquet file."""
    began = time.monotonic()
    with urllib.request.urlopen(url) as answer:  # noqa: S310
        text = pa.BufferReader(igzip.decompress(answer.read()))  # type: ignore[no-untyped-call]
    types = {field.name: field.type for field in color("yellow").schema}
    table = csv.read_csv(text, convert_options=csv.ConvertOptions(column_types=types))
    parquet.write_table(table, path, compression="zstd")
    print(json.dumps({"seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main(*sys.argv[1:])
