"""Late buses, the timetable: 5 million stop times of a region's GTFS zip, of which one agency's are kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.bench import results as r
from scripts.bench.gtfs import AGENCY, DAYS, SHARE
from scripts.bench.inputs import job_python, undisturbed
from scripts.bench.measure import Run, run_process
from scripts.bench.part import Part, peer
from scripts.bench.results import Column, Goal, Results

ROWS, QUICK_ROWS = 5_000_000, 200_000
TITLES = {"ours": "Longshore", "merge_all": "pandas merges of everything, as published"}
NOTES = """- The zip is shaped like those of the Bus Open Data Service: at 5,000,000 rows 440 MB unpacked, a fifth of
  it one agency's. It lies on the disk; nothing is downloaded or uploaded. Both end with Parquet and with as many rows.
- Longshore's process has imported its whole flow. It covers three days and takes the exceptions of calendar_dates.txt
  into account.
- The published way reads every file with pandas, merges all of them and picks one day at the end.
- The load itself of both begins after their imports."""


def alone(folder: Path, quick: bool, rounds: int) -> list[Results]:
    """Both ways in turns, each in a fresh process; the rows counted."""
    rows = QUICK_ROWS if quick else ROWS
    path = folder / f"gtfs-{rows}.zip"
    if not path.exists():
        subprocess.run([sys.executable, "-m", "scripts.bench.gtfs", str(path), str(rows)], check=True)
    days = [day.isoformat() for day in DAYS]
    commands = {
        "ours": [job_python(folder, "late-buses"), "-m", "scripts.bench.timetable_job", str(path), AGENCY, *days],
        "merge_all": peer("merge_all", str(path), str(folder / "timetable.parquet"), AGENCY, days[1]),
    }
    env = undisturbed()
    runs: dict[str, list[Run]] = {key: [] for key in commands}
    for number in range(rounds):
        for key in list(commands)[:: -1 if number % 2 else 1]:
            run = run_process(commands[key], env, folder / "logs" / f"{key}.log")
            if run.said["rows"] != rows // SHARE:
                raise SystemExit(f"{TITLES[key]}: {run.said['rows']:,.0f} rows arrived of {rows // SHARE:,}.")
            runs[key].append(run)
            print(
                f"round {number + 1}/{rounds}  {TITLES[key]}: {run.seconds:.2f} s, {run.peak_mib:,.0f} MiB", flush=True
            )
    return [Results(rows, runs, TITLES, frozenset(TITLES))]


COLUMNS: tuple[Column, ...] = (
    r.HOW,
    r.SECONDS,
    r.RATE,
    r.LOAD,
    r.CLIENT,
    r.PEAK,
    r.RUNS,
)


def goals(results: Sequence[Results]) -> list[Goal]:
    """Of the 5 million rows."""
    (first,) = results
    return [
        Goal("seconds", "<= 30", lambda: first.middle("ours"), lambda value: value <= 30, "{:.1f}"),
        Goal("peak RSS, MiB", "<= 600", lambda: first.peak("ours"), lambda value: value <= 600, "{:.0f}"),
        Goal("times faster than merge_all", "> 1", lambda: first.times("merge_all", "ours"), lambda v: v > 1, "{:.1f}"),
    ]


PART = Part("timetable", "Late buses: the timetable", NOTES, ("pyarrow", "pandas"), None, COLUMNS, goals, alone=alone)
