"""One contender, once: a fresh process, its wall time, its peak memory and what it says of itself."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

SAID = '{"seconds": '


@dataclass(frozen=True)
class Run:
    """seconds: the whole process. said: figures by name, `seconds` the load's own where it tells it."""

    seconds: float
    peak_mib: float
    said: dict[str, float] = field(default_factory=dict)

    @property
    def load_seconds(self) -> float:
        """The load itself where the contender tells it, else the whole process."""
        return self.said.get("seconds", self.seconds)


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
    lines = log.read_text(errors="replace").splitlines()
    if process.returncode:
        last = "\n".join(lines[-15:])
        raise BenchError(f"{' '.join(command)[:200]} ended with {process.returncode}:\n{last}")
    said: dict[str, float] = next((json.loads(line) for line in reversed(lines) if line.startswith(SAID)), {})
    return Run(seconds, usage.ru_maxrss / 1024, said)
