"""The published way, whole: pandas reads 100,000-row chunks and `to_sql` appends them.

As in the course notes the project started from: empty table first, then every chunk; dates parsed.
"""

import sys

import pandas as pd
from sqlalchemy import create_engine


def main(url: str, database: str, table: str) -> None:
    """Load a yellow taxi csv.gz from `url`."""
    engine = create_engine(database)
    dates = ["tpep_pickup_datetime", "tpep_dropoff_datetime"]
    first = True
    for chunk in pd.read_csv(url, iterator=True, chunksize=100_000, low_memory=False):
        for column in dates:
            chunk[column] = pd.to_datetime(chunk[column])
        if first:
            chunk.head(0).to_sql(table, engine, if_exists="replace", index=False)
            first = False
        chunk.to_sql(table, engine, if_exists="append", index=False)


if __name__ == "__main__":
    main(*sys.argv[1:4])
