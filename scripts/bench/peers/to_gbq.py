"""The published way to BigQuery: the object is downloaded, pandas reads it whole, and `to_gbq` sends it."""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import pandas_gbq
from google.cloud import bigquery, storage


def main(name: str, target: str) -> None:
    """An object into a table of a dataset that is made for it."""
    began = time.monotonic()
    project = os.environ["GCP_PROJECT"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rides.parquet"
        storage.Client(project).bucket(os.environ["GCS_BUCKET"]).blob(name).download_to_filename(path, timeout=120)
        size = path.stat().st_size
        frame = pd.read_parquet(path)
    client = bigquery.Client(project)
    pandas_gbq.to_gbq(
        frame, target, project, chunksize=500_000, if_exists="append", progress_bar=False, bigquery_client=client
    )
    print(json.dumps({"seconds": time.monotonic() - began, "bytes": size}))


if __name__ == "__main__":
    main(*sys.argv[1:])
