"""Polars: the whole file as a frame, which `write_database` hands to ADBC."""

# mypy: disable-error-code="import-not-found,import-untyped"
import json
import sys
from typing import Any

import polars as pl
from isal import igzip

from scripts.bench.peers.shared import download

TYPES: dict[str, Any] = {
    "integer": pl.Int32,
    "timestamp": pl.Datetime("us"),
    "double precision": pl.Float64,
    "text": pl.String,
}


def main(url: str, database: str, table: str, columns: str) -> None:
    """Load a csv.gz, or a parquet file, from `url`. columns: name -> SQL type."""
    schema = {name: TYPES[kind] for name, kind in json.loads(columns).items()}
    body = download(url)
    if url.endswith(".parquet"):
        frame = pl.read_parquet(body).cast(schema)
    else:
        frame = pl.read_csv(igzip.decompress(body), schema=schema)  # type: ignore[no-untyped-call]
    frame.write_database(table, database, engine="adbc")


if __name__ == "__main__":
    main(*sys.argv[1:])
