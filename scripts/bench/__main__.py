"""`make bench`: Longshore against the limit and its peers, in one run on one Postgres.

Rounds are interleaved: each round runs every contender once, in a turning order, in a fresh process
into a fresh table, and checks the rows that arrived. A contender that fails ends the bench.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.bench import contenders as c
from scripts.bench.cold import cold_start
from scripts.bench.database import Database, database
from scripts.bench.measure import Run, run_process
from scripts.bench.report import Results, document, goals, tables

QUICK = c.Size(2019, 1, 200_000)
FULL = c.Size(2021, 1, 1_369_765)
TENFOLD = c.Size(2020, 1, 13_697_650)


def main() -> None:
    """Parse, prepare, run, write."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="200,000 rows, fast contenders only, nothing written")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of the fast contenders (5; quick 3)")
    parser.add_argument("--slow-rounds", type=int, default=1, help="rounds of to_sql and dlt (%(default)s)")
    parser.add_argument("--tenfold-rounds", type=int, default=3, help="rounds with 10x the rows (%(default)s)")
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="input and database (%(default)s)")
    parser.add_argument("--output", type=Path, help="where the tables go (docs/benchmarks.md; quick: nowhere)")
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    sizes = [QUICK] if options.quick else [FULL, TENFOLD]
    output: Path | None = options.output or (None if options.quick else Path("docs/benchmarks.md"))

    months = [f"{size.year}-{size.month}-{size.rows}" for size in sizes]
    subprocess.run([sys.executable, "-m", "scripts.bench.prepare", str(folder / "site"), *months], check=True)
    python = job_python(folder / "venv")
    results: list[Results] = []
    with database(folder / "postgres") as db, site(folder / "site") as url:
        for size in sizes:
            setup = c.Setup(db, url, folder, size, python)
            make_ready(setup)
            rounds = options.rounds or (3 if options.quick else 5)
            if size is TENFOLD:
                rounds = min(rounds, options.tenfold_rounds)
            slow = options.slow_rounds if size is FULL else 0
            results.append(Results(size.rows, compete(setup, rounds, slow)))
        version = str(db.run("show server_version")[0][0])
    text = tables(results)
    if not options.quick:  # the goals are of the full size: a small file is mostly start
        text += "\n" + goals(results, cold_start())
    print("\n" + text)
    if output:
        output.parent.mkdir(exist_ok=True)
        output.write_text(document(text, version))
        print(f"Written to {output}.")


@contextmanager
def site(root: Path) -> Iterator[str]:
    """The stand-in of the taxi website in a process of its own; its URL."""
    command = [sys.executable, "-m", "tests.sources", "--port", "0", "--root", str(root), "--datasets"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield line.strip().removeprefix("TAXI_URL=").split("/nyc-tlc-data/")[0]
        finally:
            process.terminate()


def job_python(folder: Path) -> str:
    """A Python with what the job's image holds and nothing else.

    It matters: where pandas is installed, pyarrow imports it at its first chance, 0.25 s and 40 MiB.
    """
    command = [sys.executable, "-m", "uv", "sync", "--quiet", "--frozen", "--no-default-groups", "--compile-bytecode"]
    env = os.environ | {"UV_PROJECT_ENVIRONMENT": str(folder)}
    env.pop("VIRTUAL_ENV", None)
    subprocess.run([*command, "--extra", "web-to-postgres", "--python", sys.executable], env=env, check=True)
    return str(folder / "bin" / "python")


def make_ready(setup: c.Setup) -> None:
    """The limit's input, once: the same rows and types, written by Postgres itself."""
    source = setup.folder / "site" / f"{setup.size.name}.csv.gz"
    if setup.ready.exists() and setup.ready.stat().st_mtime > source.stat().st_ctime:
        return
    setup.database.settle(c.PSQL.table)
    run_process(c.PSQL.command(setup, c.PSQL.table), environment(setup), setup.folder / "logs" / "ready.log")
    part = setup.ready.with_suffix(".part")
    copy = rf"\copy {c.PSQL.table} to '{part}' with (format binary)"
    run_process(
        [setup.database.psql, setup.database.url, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", copy],
        environment(setup),
        setup.folder / "logs" / "ready.log",
    )
    part.replace(setup.ready)
    setup.database.settle(c.PSQL.table)


def compete(setup: c.Setup, rounds: int, slow_rounds: int) -> dict[c.Contender, list[Run]]:
    """All contenders, round by round."""
    runs: dict[c.Contender, list[Run]] = {}
    if setup.size is not TENFOLD:  # the first start of all compiles bytecode and makes Prefect's database
        for contender in (c.OURS_GZ, c.OURS_PARQUET):
            once(setup, contender)
    for number in range(rounds):
        taking_part = [x for x in c.ALL if not x.slow or number < slow_rounds]
        turn = number % len(taking_part)
        for contender in taking_part[turn:] + taking_part[:turn]:
            run = once(setup, contender)
            runs.setdefault(contender, []).append(run)
            load = "" if run.load_seconds is None else f", the load itself {run.load_seconds:.2f} s"
            title = contender.title.replace("\\|", "|").replace("`", "")
            print(f"round {number + 1}/{rounds}  {title}: {run.seconds:.2f} s{load}", flush=True)
    return {contender: runs[contender] for contender in c.ALL if contender in runs}


def once(setup: c.Setup, contender: c.Contender) -> Run:
    """One run of one contender, its rows counted."""
    db = setup.database
    db.settle(contender.table)
    log = setup.folder / "logs" / f"{contender.key}.log"
    run = run_process(contender.command(setup, contender.table), environment(setup), log)
    arrived = db.count(contender.table)
    if arrived != setup.size.rows:
        raise SystemExit(f"{contender.title}: {arrived:,} rows arrived of {setup.size.rows:,}. See {log}.")
    if contender in (c.OURS_GZ, c.OURS_PARQUET):
        run = Run(run.seconds, run.peak_mib, load_seconds(db, contender.table))
    db.settle(contender.table)
    return run


def load_seconds(db: Database, table: str) -> float:
    """What the load's report says: from the first request to the last row."""
    return float(db.run("select seconds from load_ledger where table_name = %s", table)[0][0])


def environment(setup: c.Setup) -> dict[str, str]:
    """The same for all: this process's, without a Prefect that happens to be set up here.

    Bytecode is kept, as it is in an image: the first, unmeasured start of a contender compiles it.
    """
    without = ("PREFECT_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(without)}
    return kept | {
        "PREFECT_HOME": str(setup.folder / "prefect"),
        "WAREHOUSE_URL": setup.database.sqlalchemy_url,
        "TAXI_URL": f"{setup.site}/nyc-tlc-data/releases/download",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }


if __name__ == "__main__":
    main()
