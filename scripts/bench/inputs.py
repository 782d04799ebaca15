"""What all parts need: the input over local HTTP, an environment for each job, and variables that disturb nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.bench.part import Size

# What is set up here must not reach the contenders; they keep bytecode, as an image does.
WITHOUT = ("GOOGLE_", "GCP_", "GCS_", "WAREHOUSE_URL", "PYTHONDONTWRITEBYTECODE")


@contextmanager
def site(root: Path, sizes: Sequence[Size]) -> Iterator[str]:
    """The files, made where they are missing, and the stand-in of the taxi website in a process of its own; its URL."""
    months = [f"{size.year}-{size.month}-{size.rows}" for size in sizes]
    subprocess.run([sys.executable, "-m", "scripts.bench.prepare", str(root), *months], check=True)
    command = [sys.executable, "-m", "standins.taxi", "--port", "0", "--root", str(root), "--datasets"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield line.strip().removeprefix("TAXI_URL=").split("/nyc-tlc-data/")[0]
        finally:
            process.terminate()


def job_python(folder: Path, job: str) -> str:
    """A Python with what the job's image holds and nothing else.

    It matters: where pandas is installed, pyarrow imports it at its first chance, 0.25 s and 40 MiB.
    """
    venv = folder / "venvs" / job
    command = [sys.executable, "-m", "uv", "sync", "--quiet", "--frozen", "--no-default-groups", "--compile-bytecode"]
    env = os.environ | {"UV_PROJECT_ENVIRONMENT": str(venv)}
    env.pop("VIRTUAL_ENV", None)
    subprocess.run([*command, "--extra", job, "--python", sys.executable], env=env, check=True)
    return str(venv / "bin" / "python")


def undisturbed() -> dict[str, str]:
    """This process's variables, but for those that are set up here."""
    return {name: value for name, value in os.environ.items() if not name.startswith(WITHOUT)}


def environment(site: str, place: dict[str, str]) -> dict[str, str]:
    """The same for all contenders; place: how they reach what they load to."""
    return undisturbed() | {
        "TAXI_URL": f"{site}/nyc-tlc-data/releases/download",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        **place,
    }
