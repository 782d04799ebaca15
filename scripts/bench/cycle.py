"""Late buses, one look: 2,000 vehicles, and a timetable of a million stop times that is in the bucket already."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from scripts.bench import results as r
from scripts.bench.database import database
from scripts.bench.gcs import cloud, services
from scripts.bench.inputs import job_python, undisturbed
from scripts.bench.measure import Run, run_process
from scripts.bench.part import Part, peer
from scripts.bench.results import Column, Goal, Results
from standins.buses.city import AGENCIES, AGENCY, City
from standins.buses.server import serve_buses
from standins.google.start import google_cloud

VEHICLES, QUICK_VEHICLES = 2_000, 100
AT = datetime(2026, 2, 4, 8, 40, tzinfo=UTC)
TABLE = "raw_late_buses"
TITLES = {"ours": "Longshore: fetch, compare, append", "pandas": "pandas merges, as published: compare alone"}
NOTES = """- What the flows of one look do: fetch the feed over HTTP, write it to the bucket
  twice, read it and the timetable from there, compare, write `late_buses.csv`, read it back, append it to Postgres.
  Emulator of Cloud Storage, stand-in of the bus service. The rows are positions.
- The published way only compares: it reads both Parquet files from the disk with pandas, merges them and writes a CSV
  to the disk. It takes today's midnight in UTC for the service day.
- The load itself of both begins after their imports."""


def alone(folder: Path, quick: bool, rounds: int) -> list[Results]:
    """Both ways in turns, each in a fresh process."""
    at, agency = AT.isoformat(), AGENCIES[AGENCY]
    city = City(vehicles=QUICK_VEHICLES if quick else VEHICLES)
    with ExitStack() as stack:
        site = stack.enter_context(serve_buses(city, folder / "buses", "bench", lambda: AT))
        env = undisturbed() | stack.enter_context(google_cloud(cloud(folder)))
        warehouse = stack.enter_context(database(folder / "postgres"))
        env |= {"BUS_FEED_URL": site.feed_url, "BUS_TIMETABLE_URL": site.timetable_url, "BODS_API_KEY": site.key}
        env["WAREHOUSE_URL"] = warehouse.url
        job = [job_python(folder, "late-buses"), "-m", "scripts.bench.cycle_job"]
        site.timetable()
        run_process([*job, "timetable", at, agency], env, folder / "logs" / "timetable.log")
        bucket = services(env)[0].bucket(env["GCS_BUCKET"])
        files = {"live.parquet": "live_location/live_location.parquet"}
        files["timetable.parquet"] = "current_timetable/timetable_today.parquet"
        runs: dict[str, list[Run]] = {key: [] for key in TITLES}
        for number in range(rounds):
            warehouse.settle(TABLE)
            runs["ours"].append(run_process([*job, "cycle", at, agency], env, folder / "logs" / "cycle.log"))
            for file, path in files.items():
                bucket.blob(path).download_to_filename(str(folder / file))
            given = [str(folder / file) for file in files]
            command = peer("late_pandas", *given, str(folder / "late.csv"), at)
            runs["pandas"].append(run_process(command, env, folder / "logs" / "late_pandas.log"))
            said = " / ".join(f"{made[-1].seconds:.2f} s" for made in runs.values())
            print(f"round {number + 1}/{rounds}  {said}", flush=True)
    return [Results(int(runs["ours"][0].said["rows"]), runs, TITLES, frozenset(TITLES))]


def _own(figure: str) -> Column:
    return f"{figure}, s", r.known(lambda results, key: results.said(key, figure))


COLUMNS: tuple[Column, ...] = (
    r.HOW, r.SECONDS, r.LOAD, _own("fetch"), _own("compare"), _own("append"), r.CLIENT, r.PEAK, r.RUNS,
)  # fmt: skip


def goals(results: Sequence[Results]) -> list[Goal]:
    """Of 2,000 vehicles."""
    (first,) = results
    return [Goal("one look, s", "<= 3", lambda: first.middle("ours"), lambda value: value <= 3, "{:.2f}")]


PART = Part("cycle", "Late buses: one look", NOTES, ("pyarrow", "pandas"), None, COLUMNS, goals, alone=alone)
