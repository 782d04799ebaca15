"""Who runs a flow: this process alone, or Prefect. Flows and steps ask for it, so that their code is the same."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from longshore.backoff import Backoff, Log
from longshore.errors import LoadError, UsageError
from longshore.report import Job, Report, failed, failures, summary

RETRIES = 2  # of a step


@dataclass(frozen=True)
class Step:
    """A part of a flow that ends in a report: call(job, *given, log). name: of its task in Prefect."""

    name: str
    call: Callable[..., Report]

    def __call__(self, job: Job, *given: Any) -> Report:
        """Do it, again where that may help; what was done, or that it failed."""
        return runner().step(self, job, given)


@dataclass(frozen=True)
class Ended:
    """How a flow ended. reports: of its steps. wrong_usage: it was asked for what cannot be."""

    completed: bool
    message: str
    reports: Sequence[Report] = ()
    wrong_usage: bool = False

    @classmethod
    def of(cls, reports: Sequence[Report]) -> "Ended":
        """Failed when one of the steps has."""
        said = failures(reports)
        return cls(not said, said or summary(reports), reports)


class Stopped(LoadError):
    """A flow that cannot go on, because a subflow has failed. reports: of what was done before."""

    def __init__(self, subflow: Ended, reports: Sequence[Report] = ()) -> None:
        super().__init__(subflow.message)
        self.reports = reports


def outcome(function: Callable[[], Sequence[Report]]) -> Ended:
    """How it ended, without exceptions for what is not the code's fault."""
    try:
        return Ended.of(function())
    except Stopped as stopped:
        return Ended(False, str(stopped), stopped.reports)
    except LoadError as error:
        return Ended(False, str(error), wrong_usage=isinstance(error, UsageError))


class Runner(Protocol):
    """What flows and steps need of whoever runs them. has_blocks: Prefect's blocks can be read."""

    has_blocks: bool

    @property
    def log(self) -> Log: ...
    @property
    def flow_run(self) -> str | None:
        """The run's id in Prefect."""

    @property
    def scheduled_start(self) -> datetime:
        """When the run was meant to start; now, where no scheduler is present."""

    def begin(self) -> None:
        """Called before anything is opened."""

    def step(self, step: Step, job: Job, given: Sequence[Any]) -> Report:
        """See Step."""

    def publish(self, key: str, reports: Sequence[Report]) -> None:
        """Keep a table of the reports where a person may look. key: of the table."""

    def skip_overdue(self) -> int:
        """Take away runs of the same deployment that are due; how many."""


class Plain:
    """This process alone: no Prefect, no server, nothing kept but what the log says."""

    has_blocks = False
    flow_run = None

    def __init__(self) -> None:
        self.log: Log = logging.getLogger("longshore")

    @property
    def scheduled_start(self) -> datetime:
        return datetime.now().astimezone()

    def begin(self) -> None:
        """Nothing is in the way."""

    def step(self, step: Step, job: Job, given: Sequence[Any]) -> Report:
        """See Runner."""
        for attempt in range(RETRIES + 1):
            try:
                report = step.call(job, *given, self.log)
            except LoadError as error:
                said, again = str(error), error.retryable
            except Exception as error:
                self.log.exception("%s", job.title)
                said, again = f"{type(error).__name__}: {error}", True
            else:
                self.log.info("%s", report)
                return report
            if again and attempt < RETRIES:
                delay = retry_delay(attempt)
                self.log.warning("%s: %s It is tried again in %g s.", job.title, said, delay)
                time.sleep(delay)
                continue
            break
        report = failed(job, said)
        self.log.error("%s", report)
        return report

    def publish(self, key: str, reports: Sequence[Report]) -> None:
        """The log has said it all."""

    def skip_overdue(self) -> int:
        """There are none."""
        return 0


class Rehearsed(Exception):
    """A flow got as far as its first step: what it was asked for can be."""


class Rehearsal(Plain):
    """Runs a flow up to where it would open something, so that wrong usage is told at once."""

    has_blocks = True

    def begin(self) -> None:
        """Far enough."""
        raise Rehearsed

    def step(self, step: Step, job: Job, given: Sequence[Any]) -> Report:
        """See begin."""
        raise Rehearsed


def retry_delay(attempt: int) -> float:
    """Seconds before a step is tried again: 5, then 10."""
    return Backoff().first * 5.0 * 2.0**attempt


_runner: ContextVar[Runner] = ContextVar("runner")


def runner() -> Runner:
    """Who runs this flow. Outside of a flow: this process."""
    return _runner.get(None) or Plain()


@contextmanager
def running(by: Runner) -> Iterator[None]:
    """Within, flows and steps are run by this runner."""
    token = _runner.set(by)
    try:
        yield
    finally:
        _runner.reset(token)
