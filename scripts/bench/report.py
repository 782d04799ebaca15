"""The tables of the bench: what was measured, and the goals next to it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from statistics import median

from scripts.bench import contenders as c
from scripts.bench.measure import Run

PACKAGES = ("prefect", "pyarrow", "pgpq", "psycopg2-binary", "sqlalchemy", "pandas", "dlt", "adbc-driver-postgresql")


@dataclass(frozen=True)
class Results:
    """All runs with one size of input."""

    rows: int
    runs: dict[c.Contender, list[Run]]

    def seconds(self, contender: c.Contender) -> list[float]:
        """Of each round: the load itself where the contender reports it, else the whole process."""
        return [r.seconds if r.load_seconds is None else r.load_seconds for r in self.runs[contender]]

    def times_limit(self, contender: c.Contender) -> float:
        """Median over the rounds of time / the limit's time in the same round: noise hits both."""
        pairs = zip(self.seconds(contender), self.seconds(c.LIMIT), strict=False)
        return median(mine / limit for mine, limit in pairs)

    def peak(self, contender: c.Contender) -> float:
        """The highest of all rounds, MiB."""
        return max(run.peak_mib for run in self.runs[contender])


def tables(results: list[Results]) -> str:
    """One table for each size."""
    parts = []
    for result in results:
        count = max(len(runs) for runs in result.runs.values())
        parts.append(f"### {result.rows:,} rows, {count} rounds\n")
        parts.append("| how | seconds: median (min-max) | rows/s | x limit | whole process, s | peak MiB | runs |")
        parts.append("|---|--:|--:|--:|--:|--:|--:|")
        for contender, runs in result.runs.items():
            seconds = result.seconds(contender)
            middle = median(seconds)
            spread = f" ({min(seconds):.2f}-{max(seconds):.2f})" if len(seconds) > 1 else ""
            whole = median(run.seconds for run in runs)
            peak = f"{result.peak(contender):,.0f}" if contender.python else ""
            parts.append(
                f"| {contender.title} | {middle:.2f}{spread} | {result.rows / middle:,.0f} |"
                f" {result.times_limit(contender):.2f} | {whole:.2f} | {peak} | {len(runs)} |"
            )
        parts.append("")
    return "\n".join(parts)


def goals(results: list[Results], cold: float | str) -> str:
    """The goals, each with what was measured."""
    first, last = results[0], results[-1]
    rows = ["### Goals\n", "| goal | wanted | measured | |", "|---|--:|--:|---|"]

    def line(goal: str, wanted: str, measure: Callable[[], float], good: Callable[[float], bool], form: str) -> None:
        try:
            value = measure()
        except KeyError:
            rows.append(f"| {goal} | {wanted} | not measured | |")
            return
        rows.append(f"| {goal} | {wanted} | {form.format(value)} | {'pass' if good(value) else 'FAIL'} |")

    line("csv.gz, x limit", "<= 1.25", lambda: first.times_limit(c.OURS_GZ), lambda v: v <= 1.25, "{:.2f}")
    line("parquet, x limit", "<= 1.20", lambda: first.times_limit(c.OURS_PARQUET), lambda v: v <= 1.2, "{:.2f}")
    line(
        "times faster than to_sql", ">= 40",
        lambda: median(first.seconds(c.TO_SQL)) / median(first.seconds(c.OURS_GZ)), lambda v: v >= 40, "{:.0f}",
    )  # fmt: skip
    line(
        r"times faster than psql \copy", "> 1",
        lambda: first.times_limit(c.PSQL) / first.times_limit(c.OURS_GZ), lambda v: v > 1, "{:.2f}",
    )  # fmt: skip
    ours = (c.OURS_GZ, c.OURS_PARQUET)
    line(
        f"peak RSS at {first.rows:,} rows, MiB", "<= 450",
        lambda: max(first.peak(x) for x in ours), lambda v: v <= 450, "{:.0f}",
    )  # fmt: skip
    if last is not first:
        line(
            f"peak RSS at {last.rows:,} rows against that", "<= +10 %",
            lambda: 100 * (max(last.peak(x) / first.peak(x) for x in ours) - 1), lambda v: v <= 10, "{:+.0f} %",
        )  # fmt: skip
    if isinstance(cold, str):
        rows.append(f"| container created -> first line of the flow, s | <= 6 | {cold} | |")
    else:
        line("container created -> first line of the flow, s", "<= 6", lambda: cold, lambda v: v <= 6, "{:.1f}")
    return "\n".join(rows) + "\n"


def document(text: str, postgres: str) -> str:
    """docs/benchmarks.md."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"""# Benchmarks

Made by `make bench`; run it again to replace this page. {os.cpu_count()} cores, {memory:.0f} GiB of memory,
Python {platform.python_version()}, Postgres {postgres} (settings as they come), {packages}.

Input, database and loader share the machine. The input is generated to the shape of the real yellow taxi
file of 2021-01 and comes over local HTTP. Each run is a fresh process and a fresh table; before it, a
checkpoint. Rounds are interleaved in a turning order, and the rows that arrived are counted.

- *seconds* of Longshore: the load as its own report states it, from the first request to the last row. Of
  all others, and of Longshore under *whole process*: from the start of the process to its end (Longshore's
  includes Python's, Prefect's and its in-process API's start). It runs in an environment of its own, with
  the packages of the job's image.
- *x limit*: median over the rounds of the time divided by the limit's in the same round.
- The limit is `psql` sending a ready PGCOPY file into a table of the same 18 columns and types. Longshore's
  table has one more column, the slice's number.
- `psql \\copy` downloads, unpacks and lets Postgres parse the text, in three processes at once.
- `to_sql` is the published way: `read_csv` in chunks of 100,000 rows, dates parsed, `to_sql(if_exists="append")`.
- dlt is fed Arrow tables, its fastest source; its figures include its own files between.
- *peak*: resident memory of the process that works, its highest of all runs.

{text}"""
