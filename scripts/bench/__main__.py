"""`make bench`: Longshore against the limit and its peers, part by part, in one run.

Each part loads the same input into one place. Its rounds are interleaved: each round runs every contender once, in a
turning order, in a fresh process into a fresh table or object, and checks the rows that arrived. A contender that fails
ends the bench.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scripts.bench import bigquery, cycle, gcs, postgres, timetable
from scripts.bench.compete import Rounds, compete
from scripts.bench.inputs import environment, site
from scripts.bench.page import goals, page, section, tables
from scripts.bench.part import QUICK, TENFOLD, Input, Part

PARTS = (postgres.PART, gcs.PART, bigquery.PART, timetable.PART, cycle.PART)
PAGE = Path("docs/benchmarks.md")


def main() -> None:
    """Parse, run each part, write its section of the page."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__.split("\n")[0])
    keys = [part.key for part in PARTS]
    parser.add_argument("--only", choices=keys, action="append", help="this part only; may be given again")
    parser.add_argument("--quick", action="store_true", help="200,000 rows, fast contenders only, nothing written")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of the fast contenders (5; quick 2)")
    parser.add_argument("--slow-rounds", type=int, default=1, help="rounds of the slow contenders (%(default)s)")
    parser.add_argument("--tenfold-rounds", type=int, default=3, help="rounds with 10x the rows (%(default)s; 0: none)")
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="input and data (%(default)s)")
    parser.add_argument("--output", type=Path, help=f"the page whose sections are replaced ({PAGE}; quick: none)")
    options = parser.parse_args()
    rounds = Rounds(options.rounds or (2 if options.quick else 5), options.slow_rounds, options.tenfold_rounds)
    output: Path | None = options.output or (None if options.quick else PAGE)
    for part in PARTS:
        if part.key in (options.only or keys):
            made = measure(part, options.folder.resolve(), options.quick, rounds)
            print("\n" + made)
            if output:
                before = output.read_text() if output.exists() else ""
                output.write_text(page(before, PARTS, {part.key: made}))
                print(f"Written to {output}.")


def measure(part: Part, folder: Path, quick: bool, rounds: Rounds) -> str:
    """The part's section."""
    sizes = [QUICK] if quick else [size for size in part.sizes if size is not TENFOLD or rounds.tenfold]
    print(f"{part.title}:", flush=True)
    version = ""
    if part.alone:
        results = part.alone(folder, quick, rounds.fast)
    elif part.open:
        with site(folder / "site", sizes) as url, part.open(folder) as place:
            version = place.version
            env = environment(url, place.env)
            inputs = [Input(size, url, folder, env) for size in sizes]
            results = [compete(place, given, rounds, warm=given is not inputs[0]) for given in inputs]
    text = tables(part, results)
    if not quick:  # the goals want all sizes
        text += "\n" + goals(part, results)
    return section(part, version, text)


if __name__ == "__main__":
    main()
