"""What a part of the bench is: contenders that load the same input into one place, and the goals of ours."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from scripts.bench.results import Column, Goal, Results


@dataclass(frozen=True)
class Size:
    """One size of the input: a month of yellow taxi rows."""

    year: int
    month: int
    rows: int

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return f"yellow_tripdata_{self.year}-{self.month:02}"

    @property
    def options(self) -> list[str]:
        """The month, as our jobs are told it."""
        return ["--year", str(self.year), "--months", str(self.month)]


QUICK = Size(2019, 1, 200_000)
FULL = Size(2021, 1, 1_369_765)
TENFOLD = Size(2020, 1, 13_697_650)


@dataclass(frozen=True)
class Input:
    """What is loaded, and where the bench keeps its things. env: of all processes that it starts."""

    size: Size
    site: str
    folder: Path
    env: dict[str, str]

    def url(self, ending: str) -> str:
        """The input over local HTTP."""
        return f"{self.site}/files/{self.size.name}.{ending}"

    def log(self, name: str) -> Path:
        """Where a process writes what it says."""
        return self.folder / "logs" / f"{name}.log"


@dataclass(frozen=True)
class Contender:
    """One command, run in a fresh process into a fresh target.

    target: what is made anew for each run; {name} in it stands for the input's. slow: it runs fewer times. sizes: of
    the input with which it runs. python: its process is the one that works, so that its peak memory says something.
    """

    key: str
    title: str
    target: str
    command: Callable[[Input, str], list[str]]
    slow: bool = False
    sizes: tuple[Size, ...] = (QUICK, FULL, TENFOLD)
    python: bool = True


class Place(ABC):
    """Where the contenders load to. env: how they reach it. version: of what runs there."""

    env: dict[str, str]
    contenders: Sequence[Contender]
    version: str

    def prepare(self, given: Input) -> None:  # noqa: B027
        """Make what the contenders need besides the input."""

    @abstractmethod
    def settle(self, target: str) -> None:
        """Before and after a run: remove the target."""

    @abstractmethod
    def count(self, target: str) -> int:
        """Rows that arrived."""

    def observed(self) -> dict[str, float]:
        """More figures of the run that has just ended."""
        return {}

    def processor(self) -> float | None:
        """Seconds that processors have worked for what runs there, since it began; None: unknown."""
        return None


@dataclass(frozen=True)
class Part:
    """title, notes: of its section of the page. packages: those whose versions matter. goals: of all results, in order.

    open: where taxi months of these sizes are loaded to; else alone(folder, quick, rounds) measures something else.
    """

    key: str
    title: str
    notes: str
    packages: tuple[str, ...]
    open: Callable[[Path], AbstractContextManager[Place]] | None
    columns: tuple[Column, ...]
    goals: Callable[[Sequence[Results]], list[Goal]]
    sizes: tuple[Size, ...] = ()
    alone: Callable[[Path, bool, int], list[Results]] | None = None


def peer(module: str, *arguments: str, python: str = sys.executable) -> list[str]:
    """The command of a module below peers."""
    return [python, "-m", f"scripts.bench.peers.{module}", *arguments]


def job(python: str, name: str, *arguments: str) -> list[str]:
    """The command of one of our jobs, in its own environment."""
    return [python, "-m", "scripts.bench.job", name, *arguments]
