"""The published way to the bucket: pandas reads the file whole, writes Parquet to the disk, and that is uploaded."""

import json
import os
import sys
import time

import pandas as pd
from google.cloud import storage


def main(url: str, path: str, name: str) -> None:
    """A yellow taxi csv.gz from `url` to an object, by way of a local file."""
    began = time.monotonic()
    frame = pd.read_csv(url, low_memory=False)
    for column in ("tpep_pickup_datetime", "tpep_dropoff_datetime"):
        frame[column] = pd.to_datetime(frame[column])
    frame.to_parquet(path, compression="gzip")
    bucket = storage.Client(os.environ["GCP_PROJECT"]).bucket(os.environ["GCS_BUCKET"])
    bucket.blob(name).upload_from_filename(path, timeout=120)
    print(json.dumps({"seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main(*sys.argv[1:])
