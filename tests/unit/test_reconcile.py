"""What a worker does about runs without a container and containers without a run: the decision, without either."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from workpools.docker_runs import job as read_container
from workpools.reconcile import ALWAYS, Action, Cancel, Crash, Deadlines, Job, Phase, Remove, Run, View, decide

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HERE, THERE = "here", "there"
VIEW = View(NOW, HERE)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def run(phase: Phase, since: float = 300, place: str | None = HERE) -> Run:
    return Run("run", phase, ago(since), place)


def job(began: float = 200, ended: float | None = None, **more: Any) -> Job:
    return Job("job", "run", ago(began), None if ended is None else ago(ended), **more)


PENDING, RUNNING, CANCELLING, WAITING, ENDED = (
    Phase.PENDING,
    Phase.RUNNING,
    Phase.CANCELLING,
    Phase.WAITING,
    Phase.ENDED,
)
CASES: dict[str, tuple[list[Run], list[Job], View, list[Action]]] = {
    "a run with its container is left alone": ([run(RUNNING)], [job()], VIEW, []),
    "a run whose container is gone is started again, however young": (
        [run(RUNNING, 1)],
        [],
        VIEW,
        [Crash("run", "The container is gone: it was killed or removed, or its machine went down.", True)],
    ),
    "a run of another engine is left alone": ([run(RUNNING, place=THERE)], [], VIEW, []),
    "a run that this worker watches is left alone": ([run(RUNNING)], [], replace(VIEW, busy=frozenset(["run"])), []),
    "a run that is being cancelled, and has no container, is cancelled": (
        [run(CANCELLING)],
        [],
        VIEW,
        [Cancel("run")],
    ),
    "a young pending run may be somebody's who is starting it": ([run(PENDING, 50, None)], [], VIEW, []),
    "so may an older one where there are other workers": (
        [run(PENDING, 500, None)],
        [],
        replace(VIEW, alone=False),
        [],
    ),
    "but not for longer than an image is fetched": (
        [run(PENDING, 601, None)],
        [],
        replace(VIEW, alone=False),
        [Crash("run", "The container is gone: it was killed or removed, or its machine went down.", True)],
    ),
    "a container that ended unseen tells how": (
        [run(RUNNING)],
        [job(ended=20, why="exit code 3")],
        VIEW,
        [Crash("run", "The container ended before the run did: exit code 3.", True, "job"), Remove("job")],
    ),
    "one that ran out of memory is not started again": (
        [run(RUNNING)],
        [job(ended=20, why="out of memory", restart=False)],
        VIEW,
        [Crash("run", "The container ended before the run did: out of memory.", False, "job"), Remove("job")],
    ),
    "one that has just ended is left to who watched it": ([run(RUNNING)], [job(ended=10)], VIEW, []),
    "a run over its time limit ends, even a watched one": (
        [run(RUNNING)],
        [job(began=161, limit=100)],
        replace(VIEW, busy=frozenset(["run"])),
        [
            Crash("run", "The run took longer than its time limit of 100 s; its container was stopped.", job="job"),
            Remove("job"),
        ],
    ),
    "within the grace the container keeps the limit itself": ([run(RUNNING)], [job(began=159, limit=100)], VIEW, []),
    "a run that never begins ends": (
        [run(PENDING)],
        [job(began=61)],
        VIEW,
        [Crash("run", "The run had not begun 60 s after its container was started.", job="job"), Remove("job")],
    ),
    "a run that could not report its beginning has a minute once the server is back": (
        [run(PENDING)],
        [job()],
        replace(VIEW, steady=ago(50)),
        [],
    ),
    "the container of an ended run is removed": ([run(ENDED, 61)], [job()], VIEW, [Remove("job")]),
    "but has a moment to end": ([run(ENDED, 59)], [job()], VIEW, []),
    "a paused run keeps its container": ([run(WAITING)], [job()], VIEW, []),
    "a run that waits for its next start loses the old one": ([run(WAITING)], [job(ended=20)], VIEW, [Remove("job")]),
    "a container without a run is removed": ([], [job(began=61)], VIEW, [Remove("job")]),
    "but not a young one": ([], [job(began=59)], VIEW, []),
}


@pytest.mark.parametrize(("runs", "jobs", "view", "wanted"), CASES.values(), ids=CASES)
def test_it_is_decided_that(runs: list[Run], jobs: list[Job], view: View, wanted: list[Action]) -> None:
    assert decide(runs, jobs, view) == wanted


SECONDS = some.integers(min_value=-5, max_value=2_000)
TIMES = SECONDS.map(ago)
IDS = some.sampled_from("abcd")
RUNS = some.lists(
    some.builds(Run, IDS, some.sampled_from(Phase), TIMES, some.sampled_from([None, HERE, THERE])),
    unique_by=lambda run: run.id,
)
JOBS = some.lists(
    some.builds(
        Job,
        some.uuids().map(str),
        IDS,
        TIMES,
        some.none() | TIMES,
        some.none() | some.integers(min_value=0, max_value=1_000),
        restart=some.booleans(),
    ),
    unique_by=lambda job: job.id,
    max_size=8,
)
VIEWS = some.builds(View, some.just(NOW), some.just(HERE), some.frozensets(IDS), some.booleans(), TIMES)


def ends(action: Action) -> bool:
    return isinstance(action, Crash | Cancel)


@given(RUNS, JOBS, VIEWS)
def test_a_run_whose_container_runs_is_ended_only_for_a_limit(runs: list[Run], jobs: list[Job], view: View) -> None:
    of = {run.id: run for run in runs}
    for action in decide(runs, jobs, view):
        running = [
            job for job in jobs if isinstance(action, Crash | Cancel) and job.run == action.run and not job.ended
        ]
        if isinstance(action, Crash) and running:
            late = [job for job in running if job.limit is not None and NOW - job.began > timedelta(seconds=job.limit)]
            assert late or of[action.run].phase is PENDING
            assert not action.restart
        assert not (isinstance(action, Cancel) and running)


@given(RUNS, JOBS, VIEWS)
def test_a_container_that_runs_is_removed_only_with_its_run(runs: list[Run], jobs: list[Job], view: View) -> None:
    actions, of = decide(runs, jobs, view), {run.id: run for run in runs}
    crashed = {action.run for action in actions if isinstance(action, Crash)}
    removed = {action.job for action in actions if isinstance(action, Remove)}
    for job in jobs:
        if job.id in removed and not job.ended and job.run in of:
            assert of[job.run].phase is ENDED or job.run in crashed


@given(RUNS, JOBS, VIEWS)
def test_only_runs_that_are_on_are_ended_once_and_before_their_containers(
    runs: list[Run], jobs: list[Job], view: View
) -> None:
    actions, of = decide(runs, jobs, view), {run.id: run for run in runs}
    ended = [action.run for action in actions if isinstance(action, Crash | Cancel)]
    assert len(ended) == len(set(ended))
    assert all(of[id].phase in (PENDING, RUNNING, CANCELLING) for id in ended)
    run_of = {job.id: job.run for job in jobs}
    gone: set[str] = set()
    for action in actions:
        if isinstance(action, Remove):
            gone.add(run_of[action.job])
        else:
            assert action.run not in gone


@given(RUNS, JOBS, VIEWS)
def test_done_once_there_is_nothing_left_to_do(runs: list[Run], jobs: list[Job], view: View) -> None:
    actions = decide(runs, jobs, view)
    ended = {action.run for action in actions if isinstance(action, Crash | Cancel)}
    removed = {action.job for action in actions if isinstance(action, Remove)}
    after = [replace(run, phase=ENDED, since=NOW) if run.id in ended else run for run in runs]
    assert decide(after, [job for job in jobs if job.id not in removed], view) == []


@given(RUNS, VIEWS)
def test_no_worker_ends_a_run_of_another_engine(runs: list[Run], view: View) -> None:
    elsewhere = {run.id for run in runs if run.place == THERE}
    assert not [action for action in decide(runs, [], view) if ends(action) and action.run in elsewhere]  # type: ignore[union-attr]


@given(RUNS, JOBS, VIEWS)
def test_later_deadlines_never_end_more(runs: list[Run], jobs: list[Job], view: View) -> None:
    endless = Deadlines(10**6, 10**6, 10**6, 10**6)
    unhurried = decide(runs, jobs, replace(view, deadlines=endless))
    of = {run.id: run for run in runs}
    for action in unhurried:
        assert isinstance(action, Crash | Cancel | Remove)
        if isinstance(action, Crash):
            assert of[action.run].phase is RUNNING
            assert of[action.run].place == HERE


def container(
    status: str, exit_code: int = 0, oom: bool = False, began: str = "2025-12-31T23:50:00Z"
) -> dict[str, Any]:
    """What the engine says."""
    never = "0001-01-01T00:00:00Z"
    return {
        "Id": "job",
        "Created": "2025-12-31T23:49:59.123456789Z",
        "State": {
            "Status": status,
            "StartedAt": never if status == "created" else began,
            "FinishedAt": "2025-12-31T23:59:30.5Z" if status in ("exited", "dead") else never,
            "ExitCode": exit_code,
            "OOMKilled": oom,
            "Error": "",
        },
        "Config": {"Labels": {"io.prefect.flow-run-id": "run", "longshore.timeout-seconds": "3600"}},
        "HostConfig": {"Memory": 512 * 2**20},
    }


@pytest.mark.parametrize("status", ["running", "paused", "restarting"])
def test_a_paused_container_has_not_ended(status: str) -> None:
    found = read_container(container(status), NOW)
    assert (found.ended, found.limit, found.began) == (None, 3600, ago(600))


def test_a_container_that_was_killed_says_so() -> None:
    found = read_container(container("exited", 137), NOW)
    assert (found.ended, found.why, found.restart) == (ago(29.5), "exit code 137, killed", True)


def test_a_container_without_memory_names_its_limit() -> None:
    found = read_container(container("exited", 137, oom=True), NOW)
    assert (found.why, found.restart) == (
        "exit code 137, out of memory (512 MiB, memory_mib of its deployment)",
        False,
    )


def test_a_container_that_kept_its_time_limit_itself_is_not_tried_again() -> None:
    found = read_container(container("exited", 124), NOW)
    assert (found.why, found.restart) == ("exit code 124, over its time limit", False)


def test_a_container_that_nobody_started_has_ended() -> None:
    found = read_container(container("created"), NOW)
    assert found.ended is not None
    assert found.why == "it was never started"
    assert found.began > ALWAYS
