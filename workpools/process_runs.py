"""Processes of runs on this machine. Linux tells which run a process belongs to; elsewhere its number has to do."""

import os
import signal
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

from workpools.reconcile import Job

PROC = Path("/proc")
VARIABLE = b"PREFECT__FLOW_RUN_ID="


def find(runs: Collection[str], numbers: Mapping[str, int]) -> list[Job]:
    """The processes of these runs. numbers: of a run's process, as far as known; Linux does not need it."""
    if PROC.joinpath("self/environ").exists():
        return [Job(str(number), run, _began(number)) for run, number in _by_environment(runs).items()]
    now = datetime.now(UTC)
    return [Job(str(number), run, now) for run, number in numbers.items() if run in runs and _exists(number)]


def send(number: int, signal: signal.Signals) -> None:
    """Send a signal; nothing if it is gone."""
    try:
        os.kill(number, signal)
    except ProcessLookupError:
        return


def _by_environment(runs: Collection[str]) -> dict[str, int]:
    """The first process of each run; its children have its environment too."""
    found: dict[str, int] = {}
    for entry in PROC.iterdir():
        try:
            run = _run_of(entry) if entry.name.isdecimal() else ""
        except OSError:  # another's, or gone
            continue
        if run in runs:
            number = int(entry.name)
            found[run] = min(number, found.get(run, number), key=_began)
    return found


def _run_of(process: Path) -> str:
    """The run that a process is of; empty when of none, or when it has ended and waits for its parent to notice."""
    if _stat(process)[0] == "Z":
        return ""
    given = process.joinpath("environ").read_bytes().split(b"\0")
    return next((line.removeprefix(VARIABLE).decode() for line in given if line.startswith(VARIABLE)), "")


def _stat(process: Path) -> list[str]:
    """Its fields from the third on (proc(5)): the second is a name that may hold anything."""
    return process.joinpath("stat").read_text().rpartition(")")[2].split()


def _began(number: int) -> datetime:
    try:
        ticks = int(_stat(PROC / str(number))[19])
        up = float(PROC.joinpath("uptime").read_text().split()[0])
    except OSError:
        return datetime.now(UTC)
    return datetime.fromtimestamp(time.time() - up + ticks / os.sysconf("SC_CLK_TCK"), UTC)


def _exists(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
