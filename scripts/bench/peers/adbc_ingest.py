"""ADBC: Arrow reads the file as a stream, and the driver makes the table and sends binary COPY."""

# mypy: disable-error-code="import-not-found,import-untyped"
import json
import sys

import pyarrow as pa
from adbc_driver_postgresql import dbapi
from pyarrow import csv, parquet

from longshore.schemas import declared_schema
from scripts.bench.peers.shared import download, unpacked_file

BLOCK = 2 << 20


def main(url: str, database: str, table: str, columns: str) -> None:
    """Load a csv.gz, or a parquet file, from `url`. columns: name -> SQL type."""
    schema = declared_schema(json.loads(columns))
    reader = of_parquet(url, schema) if url.endswith(".parquet") else of_csv(url, schema)
    with dbapi.connect(database) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest(table, reader, mode="create")
        connection.commit()


def of_csv(url: str, schema: pa.Schema) -> pa.RecordBatchReader:
    """The text, typed block by block."""
    return csv.open_csv(
        pa.PythonFile(unpacked_file(url)),
        read_options=csv.ReadOptions(block_size=BLOCK),
        convert_options=csv.ConvertOptions(column_types=schema, strings_can_be_null=True),
    )


def of_parquet(url: str, schema: pa.Schema) -> pa.RecordBatchReader:
    """The file, batch by batch, in the schema's types."""
    file = parquet.ParquetFile(pa.BufferReader(download(url)))
    return pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches()).cast(schema)


if __name__ == "__main__":
    main(*sys.argv[1:])
