"""The bench's input files, made in a process of their own: numpy and pyarrow need not fill the bench's."""

import sys
from pathlib import Path

from standins.taxi.files import make
from standins.taxi.taxi import Month


def main(root: Path, *months: str) -> None:
    """Make YEAR-MONTH-ROWS as csv.gz and as Parquet below `root`."""
    for text in months:
        year, month, rows = (int(part) for part in text.split("-"))
        for ending in ("csv.gz", "parquet"):
            path, expected = make(root, Month("yellow", year, month, rows=rows), ending)
            print(f"{path.name}: {expected.rows:,} rows, {path.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
