"""One contender, once: a fresh process, its wall time and its peak memory."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """`seconds` is the whole process; `load_seconds` what the load's own report says, where there is one."""

    seconds: float
    peak_mib: float
    load_seconds: float | None = None


class BenchError(Exception):
    """A contender failed: its last lines are the message."""


def run_process(command: list[str], env: dict[str, str], log: Path) -> Run:
    """Run a command to its end, output to `log`. Raises BenchError when it fails.

    The peak is the kernel's figure for the process (or the largest of the children it waited for). A child
    begins at the size of the process that starts it, so no peak below that of the bench itself can be seen.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(command, env=env, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise BenchError(f"{' '.join(command)[:200]} ended with {process.returncode}:\n{last}")
    return Run(seconds, usage.ru_maxrss / 1024)
