"""`python -m standins.taxi`: make the taxi files if they are not there, then serve them until stopped."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from longshore.datasets.taxi import COLORS
from standins.taxi.files import make
from standins.taxi.taxi import Month
from standins.web.server import serve, wait_for_a_signal

# As many rows as the real files where we know them (standins/taxi/taxi.py), else 100,000.
DEMO = [*(f"yellow:2021-{month:02}" for month in range(1, 8)), "green:2021-01"]


def month(text: str) -> Month:
    """`yellow:2021-01`, or `yellow:2021-01:5000` for that many rows."""
    found = re.fullmatch(r"(\w+):(\d{4})-(\d\d)(?::(\d+))?", text)
    if not found or found[1] not in COLORS or not 1 <= int(found[3]) <= 12:
        raise argparse.ArgumentTypeError(f"{text!r} is not COLOR:YYYY-MM or COLOR:YYYY-MM:ROWS")
    return Month(found[1], int(found[2]), int(found[3]), rows=int(found[4] or 0))


def main() -> None:
    """Parse, make, serve."""
    parser = argparse.ArgumentParser(prog="python -m standins.taxi", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8088, help="port, 0 for a free one (%(default)s)")
    parser.add_argument("--root", type=Path, default=Path(".demo/site"), help="where the files are (%(default)s)")
    given = f"COLOR:YYYY-MM[:ROWS] ... ({' '.join(DEMO)})"
    default = [month(m) for m in DEMO]
    parser.add_argument("--datasets", nargs="*", type=month, default=default, metavar="MONTH", help=given)
    options = parser.parse_args()
    for wanted in options.datasets:
        path, expected = make(options.root, wanted)
        print(f"{path.name}: {expected.rows:,} rows, {path.stat().st_size / 1e6:.1f} MB", flush=True)
    with serve(options.root, options.host, options.port) as site:
        print(f"TAXI_URL={site.taxi_url}", flush=True)
        wait_for_a_signal()


if __name__ == "__main__":
    main()
