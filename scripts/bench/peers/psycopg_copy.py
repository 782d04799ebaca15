"""psycopg 3: the text goes to COPY as it is, and Postgres types it."""

# mypy: disable-error-code="import-not-found,import-untyped"
import json
import sys

import psycopg

from scripts.bench.peers.shared import ahead, create, unpacked


def main(url: str, database: str, table: str, columns: str) -> None:
    """Load a csv.gz from `url`. columns: name -> SQL type."""
    types: dict[str, str] = json.loads(columns)
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute(create(table, types))
        with cursor.copy(f"copy {table} from stdin with (format csv, header)") as copy:
            for piece in ahead(unpacked(url)):
                copy.write(piece)


if __name__ == "__main__":
    main(*sys.argv[1:])
