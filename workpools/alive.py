"""The sign of life of a worker: a file that it touches each time Prefect's server has answered it, or is waited for.

`python -m workpools.alive` is the healthcheck: 0 when that was within the last minute.
"""

import os
import sys
import time
from pathlib import Path

SECONDS = 60


def file() -> Path:
    """Where it is: WORKER_ALIVE_FILE."""
    return Path(os.environ.get("WORKER_ALIVE_FILE") or "/tmp/worker-alive")  # noqa: S108 - of the container


def touch() -> None:
    """The worker is alive."""
    file().touch()


def check(path: Path, seconds: float = SECONDS) -> str:
    """What is wrong; empty when nothing is."""
    try:
        age = time.time() - path.stat().st_mtime
    except OSError as error:
        return f"the worker has not asked Prefect's server for work yet: {error}"
    return "" if age <= seconds else f"the worker last asked Prefect's server for work {age:.0f} s ago"


if __name__ == "__main__":
    sys.exit(check(file()) or None)
