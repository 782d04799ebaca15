"""The bench's pure parts: ratios, cells that may be unknown, goals, sections of the page, and what a run is told."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.bench import page, postgres
from scripts.bench import results as r
from scripts.bench.compete import Rounds, compete
from scripts.bench.database import Database, processor_seconds
from scripts.bench.measure import BenchError, Run, run_process
from scripts.bench.part import FULL, QUICK, TENFOLD, Contender, Input, Part, Place
from scripts.bench.results import Goal, Results

WORK = "import time\nwhile time.process_time() < 0.3: pass"


def runs(*seconds: float, load: float | None = None, server: float | None = None, peak: float = 100) -> list[Run]:
    said = {} if load is None else {"seconds": load}
    return [Run(second, peak, 2 * second, server, said) for second in seconds]


def results(rows: int = 1000, **measured: list[Run]) -> Results:
    return Results(rows, measured, {key: key.upper() for key in measured}, frozenset(measured))


def rows(goals: list[Goal]) -> dict[str, tuple[str, str]]:
    """Measured and verdict, by the goal."""
    cells = ([cell.strip() for cell in goal.row().strip("|").split("| ")] for goal in goals)
    return {goal: (measured, verdict.strip("| ")) for goal, _, measured, verdict in cells}


def test_a_ratio_is_taken_round_by_round() -> None:
    assert r.ratio([1, 20, 3], [1, 10, 1]) == 2  # the slow round hit both
    measured = results(ours=runs(1, 20, 3), psql=runs(1, 10, 1))
    assert measured.times("ours", "psql") == 2
    assert measured.middle("ours") == 3


def test_of_a_contender_with_fewer_rounds_those_count_that_it_ran_in() -> None:
    assert results(slow=runs(60), ours=runs(2, 1, 1)).times("slow", "ours") == 30


def test_the_load_itself_is_what_the_contender_tells() -> None:
    measured = results(ours=runs(3, 5, load=2), psql=runs(4, 4))
    assert (measured.seconds("ours"), measured.loads("ours")) == ([3, 5], [2, 2])
    with pytest.raises(KeyError):
        measured.loads("psql")


def test_unknown_is_an_empty_cell_and_not_0() -> None:
    measured = results(ours=runs(3, load=2, server=0.0), psql=runs(4))

    def cells(*columns: r.Column) -> list[str]:
        return [cell(measured, key) for _, cell in columns for key in ("ours", "psql")]

    assert cells(r.LOAD) == ["2.00", ""]
    assert cells(postgres.SERVER) == ["0.00", ""]
    assert cells(r.CLIENT) == ["6.00", "8.00"]
    assert cells(r.TIMES) == ["", ""], "there is no limit"


def test_processor_seconds_of_some_rounds_only_are_unknown() -> None:
    assert results(ours=[*runs(1, server=1), *runs(1)]).server("ours") is None
    assert results(ours=[*runs(1, server=1), *runs(1, server=3)]).server("ours") == 2


def test_seconds_rate_and_limit_are_of_the_whole_process() -> None:
    measured = results(ours=runs(4, 5, 6, load=1), limit=runs(2, 2, 2))
    assert [cell(measured, "ours") for _, cell in (r.SECONDS, r.RATE, r.TIMES)] == ["5.00 (4.00-6.00)", "200", "2.50"]


def test_the_goals_of_postgres() -> None:
    small = results(ours_gz=runs(1.8), psql=runs(1))
    first = results(
        limit=runs(1.6),
        ours_gz=runs(3, load=2),
        ours_parquet=runs(3, load=2),
        psql=runs(4),
        pgpq=runs(1.9),
        to_sql=runs(90),
    )
    last = results(ours_gz=runs(9, peak=120), ours_parquet=runs(9, peak=100))
    goals = rows([goal for goal in postgres.goals([small, first, last]) if "container" not in goal.goal])
    assert list(goals.values()) == [
        ("0.75", "pass"),
        ("1.80", "pass"),
        ("1.05", "FAIL"),  # 2 / 1.9 is a little more
        ("1.25", "pass"),
        ("1.25", "FAIL"),
        ("30", "FAIL"),
        ("100", "pass"),
        ("+20 %", "FAIL"),
    ]


def test_a_goal_of_what_did_not_run_is_not_measured() -> None:
    nothing = results()
    goals = rows([goal for goal in postgres.goals([nothing, nothing, nothing]) if "container" not in goal.goal])
    assert set(goals.values()) == {("not measured", "")}


def only(goals: Callable[..., list[Goal]] = lambda _: [], sizes: tuple[object, ...] = ()) -> Part:
    return Part("part", "Title", "- A note.", (), None, (r.HOW, r.SECONDS), goals, sizes)  # type: ignore[arg-type]


def test_goals_get_a_result_for_each_size_measured_or_not() -> None:
    seen: list[list[int]] = []

    def goals(results: list[Results]) -> list[Goal]:
        seen.append([result.rows for result in results])
        return []

    page.goals(only(goals, (QUICK, FULL, TENFOLD)), [results(QUICK.rows), results(FULL.rows)])
    assert seen == [[QUICK.rows, FULL.rows, TENFOLD.rows]]


def test_a_section_takes_the_place_of_its_own_and_no_other() -> None:
    first, second = only(), Part("other", "Other", "", (), None, (r.HOW,), lambda _: [])
    made = page.page("", (first, second), {"part": page.section(first, "", page.tables(first, [results(a=runs(1))]))})
    assert "### 1,000 rows, 1 round\n\n| how | seconds: median (min-max) |\n|---|--:|\n| A | 1.00 |" in made
    assert "## Other\n\nNot measured yet." in made
    again = page.page(made, (first, second), {"other": "## Other\n\nNow it is.\n"})
    assert "| A | 1.00 |" in again
    assert again.count("## Other") == 1
    assert "Not measured" not in again


def test_a_run_is_its_wall_time_its_processors_work_and_what_it_says(tmp_path: Path) -> None:
    script = f"""{sys.executable} -c '{WORK}' | cat; echo '{{"seconds": 0.5}}'"""
    run = run_process(["bash", "-c", script], dict(os.environ), tmp_path / "log")
    assert run.said == {"seconds": 0.5}
    assert run.seconds > 0.3
    assert 0.3 <= run.client < run.seconds + 1, "the shell's children count"
    assert run.server is None
    assert 1 < run.peak_mib < 40, "not what this process holds"


def test_a_contender_that_fails_is_told_with_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="ended with 3:\nwhy"):
        run_process(["bash", "-c", "echo why; exit 3"], dict(os.environ), tmp_path / "log")
    with pytest.raises(BenchError, match="no-such-command"):
        run_process(["no-such-command"], dict(os.environ), tmp_path / "log")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody knows of children that have ended")
def test_a_process_has_worked_what_its_ended_children_have(tmp_path: Path) -> None:
    before = processor_seconds(os.getpid())
    run_process([sys.executable, "-c", WORK], dict(os.environ), tmp_path / "log")
    assert processor_seconds(os.getpid()) - before >= 0.28  # the kernel counts in hundredths


def test_a_database_that_is_not_ours_has_no_processor_seconds() -> None:
    assert Database("postgresql://elsewhere/warehouse", "psql").processor() is None


class Shelf(Place):
    """A place that holds what it is asked for, and works a second in each run."""

    version = "1"

    def __init__(self, contenders: list[Contender], known: bool) -> None:
        self.env, self.contenders, self.known, self.worked = {}, contenders, known, 0.0
        self.settled: list[str] = []

    def settle(self, target: str) -> None:
        self.settled.append(target)

    def count(self, target: str) -> int:
        return QUICK.rows

    def processor(self) -> float | None:
        self.worked += 1
        return self.worked if self.known else None


@pytest.mark.parametrize("known", [True, False])
def test_rounds_are_interleaved_and_the_slow_run_fewer(tmp_path: Path, known: bool) -> None:
    def contender(key: str, slow: bool = False) -> Contender:
        return Contender(key, key, f"the {key}", lambda given, target: ["true"], slow=slow)

    shelf = Shelf([contender("a"), contender("b"), contender("slow", slow=True)], known)
    measured = compete(shelf, Input(QUICK, "", tmp_path, {}), Rounds(fast=3, slow=1, tenfold=0), warm=False)
    assert {key: len(made) for key, made in measured.runs.items()} == {"a": 3, "b": 3, "slow": 1}
    assert measured.server("a") == (1 if known else None)
    order = [target.removeprefix("the ") for target in shelf.settled[::2]]
    assert order == ["a", "b", "a", "b", "slow", "b", "a", "a", "b"], "each fast one once before, then a turning order"
