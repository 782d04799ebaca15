"""A worker that hangs ends, and one that is asked to stop does, whatever its event loop is at."""

import os
import subprocess
import sys
import time
from pathlib import Path

from scripts.settings import ROOT
from workpools.alive import check

HANGS = """
import asyncio, time
from workpools.ending import watch_loop
async def main():
    watch_loop(2, asyncio.get_running_loop())
    {wait}
asyncio.run(main())
print("came to its end")
"""
STOPPED = """
import asyncio, os, signal, time
from workpools.ending import leave, on_stop
async def main():
    on_stop(lambda: leave(7))
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(600)
asyncio.run(main())
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)


def test_an_event_loop_that_stands_still_ends_the_process_and_says_where() -> None:
    done = run(HANGS.format(wait="time.sleep(600)"))
    assert done.returncode == 70
    assert "The worker has hung for 2 s, and ends." in done.stderr
    assert 'File "<string>", line 6 in main' in done.stderr


def test_an_event_loop_that_waits_does_not() -> None:
    done = run(HANGS.format(wait="await asyncio.sleep(6)"))
    assert (done.returncode, done.stdout) == (0, "came to its end\n")


def test_a_worker_whose_loop_stands_still_stops_when_asked() -> None:
    assert run(STOPPED).returncode == 7


def test_a_sign_of_life_is_from_the_last_minute(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    assert check(file).startswith("the worker has not asked Prefect's server for work yet: ")
    file.touch()
    assert check(file) == ""
    os.utime(file, (time.time() - 61,) * 2)
    assert check(file) == "the worker last asked Prefect's server for work 61 s ago"


def test_the_healthcheck_says_why_it_fails(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "WORKER_ALIVE_FILE": str(tmp_path / "alive")}
    command = [sys.executable, "-m", "workpools.alive"]
    failed = subprocess.run(command, env=env, capture_output=True, text=True)
    assert failed.returncode == 1
    assert "has not asked Prefect's server for work yet" in failed.stderr
    (tmp_path / "alive").touch()
    assert subprocess.run(command, env=env).returncode == 0
