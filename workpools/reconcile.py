"""Which runs have lost what they ran in, and what is left of runs that have ended: decided on plain data.

A *job* is what a run runs in: a container, a process, an execution of Cloud Run. The workers look, ask `decide`, and do
what it says; whatever it says may be done twice, by two workers.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum


class Phase(Enum):
    """How far a run is: Prefect's types of states, as far as they matter here."""

    WAITING = "waiting"  # scheduled, paused: needs no job
    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    ENDED = "ended"


@dataclass(frozen=True)
class Run:
    """A flow run. since: when it came to this phase. place: the engine or machine of its job, None when not known."""

    id: str
    phase: Phase
    since: datetime
    place: str | None = None


@dataclass(frozen=True)
class Job:
    """What a run runs in.

    began: when it started, or was made if it never did. ended: None while it runs, is paused, or has not started.
    limit: seconds that it may take. why: what is known of its end, such as `exit code 1`. restart: whether such an end
    may be the machine's fault.
    """

    id: str
    run: str
    began: datetime
    ended: datetime | None = None
    limit: int | None = None
    why: str = ""
    restart: bool = True


@dataclass(frozen=True)
class Deadlines:
    """Seconds. grace: for what another worker may be doing right now, and beyond a time limit, which the job keeps
    itself. start: from a job's start to its run's. watcher: for whoever watched the job to report its end. pull: to
    fetch an image, while another worker may be at it."""

    grace: int = 60
    start: int = 60
    watcher: int = 15
    pull: int = 600


ALWAYS = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class View:
    """What a worker knows beside runs and jobs.

    place: its engine or machine. busy: runs that it submits or watches. alone: whether no other worker of the pool is
    online. steady: since when the server has been answering; a job can't report what nobody takes. what: its word for
    a job.
    """

    now: datetime
    place: str
    busy: frozenset[str] = frozenset()
    alone: bool = True
    steady: datetime = ALWAYS
    what: str = "container"
    deadlines: Deadlines = field(default_factory=Deadlines)


@dataclass(frozen=True)
class Crash:
    """The run is Crashed, or started again. job: whose last lines tell more."""

    run: str
    reason: str
    restart: bool = False
    job: str | None = None


@dataclass(frozen=True)
class Cancel:
    """The run was being cancelled, and its job has ended."""

    run: str


@dataclass(frozen=True)
class Remove:
    """Stop the job if it runs, and remove it."""

    job: str


Action = Crash | Cancel | Remove


def decide(runs: Iterable[Run], jobs: Iterable[Job], view: View) -> list[Action]:
    """What to do, in this order: a run's state is set before its job is removed.

    runs: those of the pool that are on, and those that the jobs name, as far as the server knows them.
    """
    of_run: Mapping[str, list[Job]] = defaultdict(list)
    for job in jobs:
        of_run[job.run].append(job)
    known = {run.id: run for run in runs}
    actions = [action for run in known.values() for action in _judge(run, of_run[run.id], view)]
    strays = [job for id, found in of_run.items() if id not in known for job in found]
    return actions + [Remove(job.id) for job in strays if _older(job.began, view.deadlines.grace, view)]


def _judge(run: Run, jobs: Sequence[Job], view: View) -> list[Action]:
    all_gone: list[Action] = [Remove(job.id) for job in jobs]
    if run.phase is Phase.ENDED:
        return all_gone if _older(run.since, view.deadlines.grace, view) else []
    if run.phase is Phase.WAITING:  # a job may run still, for a run that is paused or will be tried again
        return [Remove(job.id) for job in jobs if job.ended and _older(run.since, view.deadlines.grace, view)]
    running = [job for job in jobs if not job.ended]
    if running:
        return _overdue(run, running, view, all_gone) or [Remove(job.id) for job in jobs if job.ended]
    if run.id in view.busy:
        return []
    if jobs:
        last = max(jobs, key=lambda job: job.ended or job.began)
        if not _older(last.ended or last.began, view.deadlines.watcher, view):
            return []
        if run.phase is Phase.CANCELLING:
            return [Cancel(run.id), *all_gone]
        reason = f"The {view.what} ended before the run did: {last.why or 'nobody saw how'}."
        return [Crash(run.id, reason, last.restart, last.id), *all_gone]
    if not _lost(run, view):
        return []
    if run.phase is Phase.CANCELLING:
        return [Cancel(run.id)]
    return [Crash(run.id, f"The {view.what} is gone: it was killed or removed, or its machine went down.", True)]


def _overdue(run: Run, jobs: Sequence[Job], view: View, all_gone: list[Action]) -> list[Action]:
    """For a run that has jobs which have not ended: those that take too long."""
    for job in jobs:
        if job.limit is not None and _older(job.began, job.limit + view.deadlines.grace, view):
            reason = f"The run took longer than its time limit of {job.limit} s; its {view.what} was stopped."
            return [Crash(run.id, reason, job=job.id), *all_gone]
    began = max(max(job.began for job in jobs), view.steady, run.since)
    if run.phase is Phase.PENDING and _older(began, view.deadlines.start, view):
        newest = max(jobs, key=lambda job: job.began)
        reason = f"The run had not begun {view.deadlines.start} s after its {view.what} was started."
        return [Crash(run.id, reason, job=newest.id), *all_gone]
    return []


def _lost(run: Run, view: View) -> bool:
    """Whether a run that has no job here has none anywhere."""
    if run.place is not None and run.place != view.place:
        return False
    if run.phase is Phase.RUNNING and run.place:
        return True
    # Somebody may be about to start it.
    return _older(run.since, view.deadlines.grace if view.alone else view.deadlines.pull, view)


def _older(since: datetime, seconds: float, view: View) -> bool:
    return view.now - since > timedelta(seconds=seconds)
