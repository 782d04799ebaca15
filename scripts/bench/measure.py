"""One contender, once: a fresh process, its wall and processor time, its peak memory and what it says of itself."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from scripts.bench import launch

SAID = '{"seconds": '


@dataclass(frozen=True)
class Run:
    """seconds: the whole process, from its start to its end. peak_mib: its resident memory.

    client, server: seconds that processors worked for it: in the process and its children, and in what it loads into
    (None: unknown). said: figures by name; `seconds` are the load's own, where the contender tells them.
    """

    seconds: float
    peak_mib: float
    client: float
    server: float | None = None
    said: dict[str, float] = field(default_factory=dict)


class BenchError(Exception):
    """A contender failed: its last lines are the message."""


def run_process(command: list[str], env: dict[str, str], log: Path) -> Run:
    """Run a command to its end, output to `log`. Raises BenchError when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        launched = [sys.executable, "-I", "-S", launch.__file__, *command]
        done = subprocess.run(launched, env=env, stdout=subprocess.PIPE, stderr=output, text=True)
    lines = log.read_text(errors="replace").splitlines()
    if done.returncode:
        last = "\n".join(lines[-15:])
        raise BenchError(f"{' '.join(command)[:200]} ended with {done.returncode}:\n{last}")
    seconds, client, peak_kib = map(float, done.stdout.split())
    said: dict[str, float] = next((json.loads(line) for line in reversed(lines) if line.startswith(SAID)), {})
    return Run(seconds, peak_kib / 1024, client, said=said)
