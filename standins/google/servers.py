"""The emulators of Cloud Storage and BigQuery as processes; their data are files below one folder, and stay."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Process = subprocess.Popen[bytes]
ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def cloud_storage(folder: Path, host: str, port: int, bucket: str) -> Iterator[Process]:
    """Cloud Storage with a bucket; its objects are files below `folder`/.cloudstorage."""
    command = [sys.executable, "-m", "standins.google.storage", "--data-dir", str(folder), "start", "--quiet"]
    command += ["--host", host, "--port", str(port), "--default-bucket", bucket]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with running(command, env, f"http://127.0.0.1:{port}/") as process:
        yield process


@contextmanager
def bigquery(folder: Path, host: str, port: int) -> Iterator[Process]:
    """BigQuery; gs:// is the Cloud Storage emulator's folder."""
    home = folder / "home"
    put_extension(home)
    command = [sys.executable, "-m", "bqemulator", "start", "--rest-host", host, "--rest-port", str(port)]
    command += ["--grpc-port", str(free_port()), "--persistent", "--data-dir", str(folder / "bigquery")]
    command += ["--log-level", "error"]
    env = {
        **os.environ,
        "HOME": str(home),  # where DuckDB looks for extensions; it would download them otherwise
        "BQEMU_GCS_LOCAL_ROOT": str(folder / ".cloudstorage"),
        "BQEMU_ENABLE_FORMAT_EXTENSIONS": "false",
    }
    with running(command, env, f"http://127.0.0.1:{port}/healthz") as process:
        yield process


def put_extension(home: Path) -> None:
    """Give DuckDB the spatial extension that its package brings."""
    import duckdb
    import duckdb_extension_spatial

    (extension,) = Path(duckdb_extension_spatial.__file__).parent.glob("extensions/*/*.duckdb_extension")
    with duckdb.connect(config={"extension_directory": str(home / ".duckdb/extensions")}) as connection:
        connection.execute(f"INSTALL '{extension}'")


@contextmanager
def running(command: list[str], env: dict[str, str], health: str) -> Iterator[Process]:
    """A server's process once it answers; stopped at the end. What it prints goes to our standard error."""
    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr) as process:
        try:
            wait_for(health, process)
            yield process
        finally:
            stop(process)


def wait_for(health: str, process: Process, seconds: float = 120) -> None:
    """Wait until the server answers 200. Raises RuntimeError when it ended, or has not in this time."""
    deadline = time.monotonic() + seconds
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        try:
            with urllib.request.urlopen(health, timeout=2):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{health} does not answer: {error}") from error
            time.sleep(0.05)


def stop(process: subprocess.Popen[Any], seconds: float = 15) -> None:
    """Ask it to end, then make it."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
