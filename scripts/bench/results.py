"""What was measured with one size of input, and the columns and goals that are made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from scripts.bench.measure import Run

LIMIT = "limit"


@dataclass(frozen=True)
class Results:
    """All runs by the contenders' keys. titles: how they are called; python: whose peak memory says something."""

    rows: int
    runs: dict[str, list[Run]]
    titles: dict[str, str]
    python: frozenset[str]

    def seconds(self, key: str) -> list[float]:
        """The whole process, of each round."""
        return [run.seconds for run in self.runs[key]]

    def middle(self, key: str) -> float:
        """The median of these."""
        return median(self.seconds(key))

    def times(self, key: str, other: str = LIMIT) -> float:
        """The whole process, as a multiple of the other's."""
        return ratio(self.seconds(key), self.seconds(other))

    def loads(self, key: str) -> list[float]:
        """The seconds of the load itself, of each round. Raises KeyError where the contender does not tell them."""
        return [run.said["seconds"] for run in self.runs[key]]

    def client(self, key: str) -> float:
        """Processor seconds of the contender, the median."""
        return median(run.client for run in self.runs[key])

    def server(self, key: str) -> float | None:
        """Processor seconds of what it loads into, the median; None: unknown."""
        seconds = [run.server for run in self.runs[key]]
        known = [value for value in seconds if value is not None]
        return median(known) if len(known) == len(seconds) else None

    def peak(self, key: str) -> float:
        """The highest of all rounds, MiB."""
        return max(run.peak_mib for run in self.runs[key])

    def said(self, key: str, figure: str) -> float:
        """The median of a figure that the contender tells of itself, or that was seen where it loads to."""
        return median(run.said[figure] for run in self.runs[key])


def ratio(seconds: Sequence[float], others: Sequence[float]) -> float:
    """Median over the rounds of time / the other's time in the same round: noise hits both."""
    return median(mine / other for mine, other in zip(seconds, others, strict=False))


Column = tuple[str, Callable[[Results, str], str]]


def known(value: Callable[[Results, str], float | None], form: str = "{:.2f}") -> Callable[[Results, str], str]:
    """A cell with the figure, empty where there is none: unknown is not 0."""

    def cell(results: Results, key: str) -> str:
        try:
            figure = value(results, key)
        except KeyError:
            return ""
        return "" if figure is None else form.format(figure)

    return cell


def _spread(results: Results, key: str) -> str:
    seconds = results.seconds(key)
    spread = f" ({min(seconds):.2f}-{max(seconds):.2f})" if len(seconds) > 1 else ""
    return f"{median(seconds):.2f}{spread}"


HOW: Column = ("how", lambda results, key: results.titles[key])
SECONDS: Column = ("seconds: median (min-max)", _spread)
RATE: Column = ("rows/s", lambda results, key: f"{results.rows / results.middle(key):,.0f}")
TIMES: Column = ("x limit", known(Results.times))
LOAD: Column = ("load itself, s", known(lambda results, key: median(results.loads(key))))
CLIENT: Column = ("client processor, s", known(Results.client))
PEAK: Column = ("peak MiB", lambda results, key: f"{results.peak(key):,.0f}" if key in results.python else "")
RUNS: Column = ("runs", lambda results, key: str(len(results.runs[key])))


@dataclass(frozen=True)
class Goal:
    """measure: gives the figure, or says why there is none; form: how it is written."""

    goal: str
    wanted: str
    measure: Callable[[], float | str]
    good: Callable[[float], bool]
    form: str

    def row(self) -> str:
        """The goal with what was measured, as a row of a table."""
        try:
            value = self.measure()
        except KeyError:
            value = "not measured"
        if isinstance(value, str):
            return f"| {self.goal} | {self.wanted} | {value} | |"
        verdict = "pass" if self.good(value) else "FAIL"
        return f"| {self.goal} | {self.wanted} | {self.form.format(value)} | {verdict} |"


def memory_goals(first: Results, last: Results, keys: Sequence[str], most: int, growth: int) -> list[Goal]:
    """Peak memory below `most` MiB, and not more than `growth` % higher with ten times the rows."""
    goal = Goal(
        f"peak RSS at {first.rows:,} rows, MiB",
        f"<= {most}",
        lambda: max(first.peak(key) for key in keys),
        lambda value: value <= most,
        "{:.0f}",
    )
    grown = Goal(
        f"peak RSS at {last.rows:,} rows against that",
        f"<= +{growth} %",
        lambda: 100 * (max(last.peak(key) / first.peak(key) for key in keys) - 1),
        lambda value: value <= growth,
        "{:+.0f} %",
    )
    return [goal, grown]
