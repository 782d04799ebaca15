"""What all flows share: a task per load that ends in a report, and a run that ends in a table of them."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Protocol

from prefect import Task, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run
from prefect.states import Completed, Failed, State
from prefect.tasks import exponential_backoff

from jobs.common.backoff import Backoff, Log
from jobs.common.errors import LoadError
from jobs.common.report import Report, failures, summary


class Job(Protocol):
    """One thing to load. title: what it is called in logs; target: the table or object that it goes into."""

    @property
    def title(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def slice(self) -> str: ...


def _may_pass(task: Any, task_run: Any, state: State[Any]) -> bool:
    error = state.result(raise_on_failure=False)
    return bool(getattr(error, "transient", True))


def step(name: str, load: Callable[..., Report]) -> Task[..., Any]:
    """A task that calls load(job, ..., log), and tries again what may pass.

    It ends in a failed state, not an exception, for what is not the code's fault: the log stays readable.
    """

    @task(
        name=name,
        task_run_name="{job.title}",
        retries=2,
        retry_delay_seconds=exponential_backoff(backoff_factor=Backoff().first * 5),
        retry_condition_fn=_may_pass,
    )
    def one(job: Job, *given: Any) -> Any:
        log: Log = get_run_logger()
        try:
            report = load(job, *given, log)
        except LoadError as error:
            return Failed(message=str(error), data=error)
        log.info("%s", report)
        return report

    return one


def run_step(one: Task[..., Any], job: Job, *given: Any) -> Report:
    """Run the step for a job; what it did, or that it failed."""
    state: State[Any] = one(job, *given, return_state=True)  # type: ignore[assignment]
    result = state.result(raise_on_failure=False)
    if isinstance(result, Report):
        return result
    return Report(job.title, job.target, job.slice, "failed", error=state.message or str(result))


def run_all(key: str, one: Task[..., Any], jobs: Iterable[Job], *given: Any) -> State[Any]:
    """Run the step for each job, one after the other; the flow's final state, its data the reports.

    A job that fails does not keep the next from running. key: of the table artifact.
    """
    reports = [run_step(one, job, *given) for job in jobs]
    create_table_artifact(  # type: ignore[unused-coroutine]  # runs at once in a synchronous flow
        key=key, table=[report.row() for report in reports], description="What each load did."
    )
    return ended(reports)


def ended(reports: list[Report]) -> State[Any]:
    """A flow's final state, its data the reports: failed when one of them is."""
    said = failures(reports)
    return Failed(message=said, data=reports) if said else Completed(message=summary(reports), data=reports)


def scheduled_start() -> datetime:
    """When the run was meant to start; now, where no scheduler is present."""
    return datetime.fromtimestamp(flow_run.scheduled_start_time.timestamp()).astimezone()


def clock(given: datetime | None) -> datetime:
    """The time given, else this machine's. Raises LoadError for one without an offset: it could be any of many."""
    if given and not given.tzinfo:
        raise LoadError(f"{given}: is that in UTC? Write the time with its offset, such as {given.isoformat()}+00:00.")
    return given or datetime.now(UTC)


def run_id() -> str | None:
    """The flow run's id, None outside of one."""
    return flow_run.id  # type: ignore[no-any-return]
