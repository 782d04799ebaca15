"""What all flows share: steps that end in reports, and what a run knows of itself."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

from longshore.errors import UsageError
from longshore.flows.runner import Step, runner
from longshore.report import Job, Report
from longshore.sinks.load import Load

T = TypeVar("T")


def run_all(key: str, step: Step, jobs: Iterable[Job]) -> list[Report]:
    """Run the step for each job, one after the other. One that fails does not keep the next from running.

    key: of the table of reports in Prefect.
    """
    reports = [step(job) for job in jobs]
    runner().publish(key, reports)
    return reports


def load_step(name: str) -> Step:
    """The step that does a Load."""
    return Step(name, Load.run)


def clock(given: datetime | None) -> datetime:
    """The time given, else this machine's. Raises UsageError for one without an offset: it could be any of many."""
    if given and not given.tzinfo:
        raise UsageError(f"{given}: is that in UTC? Write the time with its offset, such as {given.isoformat()}+00:00.")
    return given or datetime.now(UTC)


def scheduled_start() -> datetime:
    """When the run was meant to start; now, where no scheduler is present."""
    return runner().scheduled_start


def run_id() -> str | None:
    """The flow run's id in Prefect, None outside of one."""
    return runner().flow_run


def renamed(old: str, given: T | None, new: str, value: T) -> T:
    """The value of the parameter `new`: that of `old`, its old name, where that is given, with a warning."""
    if given is None:
        return value
    runner().log.warning("The parameter %s is now called %s. The old name will go: correct the deployment.", old, new)
    return given
