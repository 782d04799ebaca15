"""DuckDB: reads the file over HTTP and writes into the attached Postgres, both by extensions of its own."""

# mypy: disable-error-code="import-not-found,import-untyped"
import json
import sys
from pathlib import Path

import duckdb
import duckdb_extension_httpfs
import duckdb_extension_postgres_scanner


def main(url: str, database: str, table: str, columns: str) -> None:
    """Load a csv.gz, or a parquet file, from `url`. columns: name -> SQL type."""
    types: dict[str, str] = json.loads(columns)
    source = of_parquet(url, types) if url.endswith(".parquet") else of_csv(url, types)
    with duckdb.connect(config={"threads": 1}) as connection:  # more took longer on two cores
        for package in (duckdb_extension_httpfs, duckdb_extension_postgres_scanner):
            (extension,) = Path(package.__file__).parent.glob("extensions/*/*.duckdb_extension")
            connection.execute(f"load '{extension}'")
        connection.execute(f"attach '{database}' as warehouse (type postgres)")
        connection.execute(f"create table warehouse.public.{table} as {source}")


def of_csv(url: str, types: dict[str, str]) -> str:
    """The text; what is declared need not be found out."""
    declared = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    return f"select * from read_csv('{url}', columns = {{{declared}}}, header = true, auto_detect = false)"


def of_parquet(url: str, types: dict[str, str]) -> str:
    """The file, in the declared types."""
    columns = ", ".join(f'"{name}"::{kind} as "{name}"' for name, kind in types.items())
    return f"select {columns} from read_parquet('{url}')"


if __name__ == "__main__":
    main(*sys.argv[1:])
