"""Builds, told while they run: which image, which step, for how long, what is next.

What a builder prints is shown when it fails, and not before.
"""

import re
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from scripts.settings import ROOT, UserError

T = TypeVar("T")
KEPT = 40  # lines of output that a failure shows
PAUSE = 10.0  # seconds between two lines in a log; a terminal's line is written anew each second
# part of an instruction -> what it does
DOES = {
    "uv sync": "installing packages",
    "get_uv": "fetching uv",
    "--from=packages": "copying packages",
    "select_code": "picking the code",
    "--from=code": "copying the code",
}
LEGACY = re.compile(r"Step (?P<number>\d+)/(?P<of>\d+) : (?P<text>.*)")
# `#7 [packages 3/8] RUN ...`, and ` > [packages 3/8] RUN ...:` above the output of the one that failed
BUILDKIT = re.compile(r"(?:#\d+|\s*>) \[(?:(?P<stage>.+) )?(?P<number>\d+)/(?P<of>\d+)\] (?P<text>.*)")


DEBIAN = re.compile(r"I: (.+?)\.\.\.")
PART = re.compile(r"(?:#\d+ [\d.]+ )?now: (.+)")  # what our own long step says of itself
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def read_step(line: str) -> str | None:
    """The step that a line of `docker build` or of mmdebstrap begins, in words; None when it begins none."""
    if found := DEBIAN.match(line):
        return found[1]
    if not (found := LEGACY.match(line) or BUILDKIT.match(line)):
        return None
    stage = f" of {found['stage']}" if found.groupdict().get("stage") else ""
    does = next((f", {words}" for part, words in DOES.items() if part in found["text"]), "")
    return f"step {found['number']} of {found['of']}{stage}{does}"


def clock(seconds: float) -> str:
    """Minutes and seconds, as 2:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


@dataclass
class Build:
    """One that is on."""

    name: str
    number: int
    started: float
    step: str = "starting"
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))


def status(builds: Iterable[Build], names: Sequence[str], started: float, now: float) -> str:
    """All that is on, in a line."""
    on = list(builds)
    told = [f"image {b.number} of {len(names)}: {b.name} · {b.step} · {clock(now - b.started)}" for b in on]
    coming = names[max((b.number for b in on), default=0) :]
    return f"{clock(now - started):>5}  {' | '.join(told)}{f'; next: {coming[0]}' if coming else ''}"


class Progress:
    """Tells of the builds of these names; safe to use from several threads."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names, self.builds, self.processes = list(names), dict[str, Build](), set[subprocess.Popen[str]]()
        self.started, self.terminal, self.lock = time.monotonic(), sys.stdout.isatty(), threading.Lock()
        self.over = threading.Event()
        self.failed: BaseException | None = None  # the first, which ends the others

    @contextmanager
    def shown(self) -> Iterator["Progress"]:
        """Say how it stands every few seconds, until the block ends."""
        teller = threading.Thread(target=self._tell, daemon=True)
        teller.start()
        try:
            yield self
        finally:
            self.over.set()
            teller.join()
            self.say()

    def _tell(self) -> None:
        while not self.over.wait(1 if self.terminal else PAUSE):
            with self.lock:
                builds = sorted(self.builds.values(), key=lambda build: build.number)
            if not builds:
                continue
            line = status(builds, self.names, self.started, time.monotonic())
            if self.terminal:
                print(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
            else:
                print(line, flush=True)

    def say(self, line: str = "") -> None:
        """Print a line that stays."""
        clear = "\r\033[K" if self.terminal else ""
        print(f"{clear}{line}", end="\n" if line else "", flush=True)

    @contextmanager
    def build(self, name: str) -> Iterator[Build]:
        """One build, from its first line to the seconds that it took."""
        build = Build(name, self.names.index(name) + 1, time.monotonic())
        with self.lock:
            self.builds[name] = build
        try:
            yield build
        except BaseException as error:
            self.stop(error)
            raise
        finally:
            with self.lock:
                del self.builds[name]
        now = time.monotonic()
        head = f"{clock(now - self.started):>5}  image {build.number} of {len(self.names)}: {name}"
        self.say(f"{head} is built, in {clock(now - build.started)}")

    def run(self, build: Build, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Run a command of a build; its output is shown when it fails."""
        with self.lock:
            if self.failed:
                raise UserError(f"{build.name} was not built, since another failed")
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            self.processes.add(process)
        self.read(build, process.stdout or ())
        code = process.wait()
        with self.lock:
            self.processes.discard(process)
        if code:
            raise UserError(failure(build))

    def read(self, build: Build, output: Iterable[str]) -> None:
        """Note the step that a build is in, and its last lines."""
        for line in output:
            said = COLOUR.sub("", line).rstrip()
            build.lines.append(said)
            if part := PART.match(said):
                build.step = f"{build.step.split(',')[0]}, {part[1]}"
            build.step = read_step(said) or build.step

    def stop(self, reason: BaseException) -> None:
        """End what is on, and begin nothing more."""
        with self.lock:
            self.failed = self.failed or reason
            for process in self.processes:
                process.terminate()


def failure(build: Build) -> str:
    """What is said of a build that failed."""
    said = "\n".join(f"  {line}" for line in build.lines)
    return f"{build.name} could not be built. It failed in {build.step}, after:\n{said}"


def side_by_side(progress: Progress, work: Callable[[str], T], names: Sequence[str], at_once: int = 2) -> list[T]:
    """What `work` makes of each name, a few at once; the first that fails ends them all."""
    with ThreadPoolExecutor(at_once) as pool:
        futures = [pool.submit(work, name) for name in names]
        try:
            wait(futures)
        except BaseException as error:
            progress.stop(error)
            raise
    if progress.failed:
        raise progress.failed
    return [future.result() for future in futures]
