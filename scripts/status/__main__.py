"""What Prefect and the engine know, on one screen: pools, workers, runs, their containers, and what wants attention.

0: all is well. 1: something wants attention. 2: no answer from Prefect, or the call was wrong.
"""

import argparse
import os
import sys
from datetime import timedelta

from scripts.api import connected, end_with, here, page  # first: it quietens Prefect

# isort: split
from rich.console import Console
from rich.text import Text

from scripts.status.attention import attention
from scripts.status.read import read
from scripts.status.show import tables

WIDTH = 120  # where nobody says: in a file, in CI


async def status(late_after: timedelta) -> int:
    """Read, show; the exit code."""
    async with connected() as client:
        picture = await read(client, here())
    console = Console(width=None if sys.stdout.isatty() or os.environ.get("COLUMNS") else WIDTH, highlight=False)
    console.print(f"Prefect {page()}, {picture.now.format('YYYY-MM-DD HH:mm zz')}\n")
    console.print(*tables(picture), sep="\n")
    wrong = attention(picture, late_after)
    console.print("\nWants attention:" if wrong else "\nAll is well.", style="bold")
    for line in wrong:
        console.print(Text(f"! {line}"), soft_wrap=True)
    return 1 if wrong else 0


def main() -> None:
    """Parse the command line and look."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.status", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--late-after",
        type=int,
        default=10,
        metavar="MINUTES",
        help="how long a run may be late or stuck (%(default)s)",
    )
    args = parser.parse_args()
    end_with(lambda: status(timedelta(minutes=args.late_after)))


if __name__ == "__main__":
    main()
