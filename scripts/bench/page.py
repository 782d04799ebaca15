"""docs/benchmarks.md: an introduction and a section for each part, of which a run replaces only its own."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version

from scripts.bench.part import Part
from scripts.bench.results import Results

INTRO = """# Benchmarks

Made by `make bench`, which replaces this page; `make bench ONLY=postgres`, `gcs`, `bigquery`, `timetable` or `cycle`
replaces one section.

Input, loader and what is loaded into share the machine. The input is generated to the shape of the real yellow taxi
file of 2021-01 and comes over local HTTP. Each run is a fresh process and a fresh table or object. Rounds are
interleaved in a turning order, and the rows that arrived are counted.

- *seconds*: the whole process, one clock for all: from its start to its end, with the interpreter's start, the imports
  and the commit. *rows/s* and *x limit* are of it.
- *x limit*: median over the rounds of the time divided by the limit's in the same round; so are all other ratios.
- *load itself*: what the contender says that its work took, without its start. Longshore's is of its report: from the
  lock to the last row, before the commit.
- *client processor*: seconds that processors worked for the process and its children, all threads together.
- *peak*: resident memory of the process that works, its highest of all runs.

Longshore runs as `python -m jobs.NAME` does, without Prefect, in an environment of its own with the packages of the
job's image. Where taxi months are loaded, each fast contender runs once more before the first round, uncounted. An
empty cell: not known, or not told.
"""


def tables(part: Part, results: Sequence[Results]) -> str:
    """One table for each size."""
    parts = []
    for result in results:
        count = max(len(runs) for runs in result.runs.values())
        parts.append(f"### {result.rows:,} rows, {count} round{'s' if count > 1 else ''}\n")
        parts.append(f"| {' | '.join(title for title, _ in part.columns)} |")
        parts.append("|---|" + "--:|" * (len(part.columns) - 1))
        parts += [f"| {' | '.join(cell(result, key) for _, cell in part.columns)} |" for key in result.runs]
        parts.append("")
    return "\n".join(parts)


def goals(part: Part, results: Sequence[Results]) -> str:
    """The goals, each with what was measured."""
    missing = [Results(size.rows, {}, {}, frozenset()) for size in part.sizes[len(results) :]]
    rows = [goal.row() for goal in part.goals([*results, *missing])]
    return "\n".join(["### Goals\n", "| goal | wanted | measured | |", "|---|--:|--:|---|", *rows, ""])


def section(part: Part, place: str, text: str) -> str:
    """A part's section, from its heading on. place: name and version of what was loaded into, if anything."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join([*([place] if place else []), *(f"{name} {version(name)}" for name in part.packages)])
    return f"""## {part.title}

{os.cpu_count()} cores, {memory:.0f} GiB of memory, Python {platform.python_version()}, {packages}.

{part.notes}

{text}"""


def page(before: str, parts: Sequence[Part], made: dict[str, str]) -> str:
    """The page with the sections made now, by the parts' keys, and those of before."""
    there = {text.partition("\n")[0]: f"## {text}" for text in before.split("\n## ")[1:]}
    missing = "## {}\n\nNot measured yet.\n"
    sections = [made.get(part.key) or there.get(part.title) or missing.format(part.title) for part in parts]
    return "\n".join([INTRO, *(section.rstrip("\n") + "\n" for section in sections)])
