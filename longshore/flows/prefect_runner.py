"""Prefect runs a flow: its steps are tasks, their reports an artifact, and how it ended is a state."""

import functools
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from prefect import Flow, flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run
from prefect.states import Completed, Failed, State

from longshore.backoff import Log
from longshore.errors import LoadError
from longshore.flows.overlap import skip_overdue
from longshore.flows.runner import RETRIES, Ended, Step, outcome, retry_delay, running
from longshore.report import Job, Report, failed


class Prefect:
    """See Runner."""

    has_blocks = True

    @property
    def log(self) -> Log:
        logger: Log = get_run_logger()
        return logger

    @property
    def flow_run(self) -> str | None:
        return str(flow_run.id) if flow_run.id else None

    @property
    def scheduled_start(self) -> datetime:
        return datetime.fromtimestamp(flow_run.scheduled_start_time.timestamp()).astimezone()

    def begin(self) -> None:
        """Nothing is in the way."""

    def step(self, step: Step, job: Job, given: Sequence[Any]) -> Report:
        """The step as a task of the run."""
        state: State[Any] = _task(step)(job, *given, return_state=True)
        result = state.result(raise_on_failure=False)
        return result if isinstance(result, Report) else failed(job, state.message or str(result))

    def publish(self, key: str, reports: Sequence[Report]) -> None:
        """A table artifact."""
        create_table_artifact(  # type: ignore[unused-coroutine]  # runs at once in a synchronous flow
            key=key, table=[report.row() for report in reports], description="What each load did."
        )

    def skip_overdue(self) -> int:
        """See overlap.skip_overdue."""
        return skip_overdue(self.log)


@functools.cache
def _task(step: Step) -> Any:
    """A task. It ends in a failed state, not an exception, for what is not the code's fault: the log stays readable."""

    @task(
        name=step.name,
        task_run_name="{job.title}",
        retries=RETRIES,
        retry_delay_seconds=[retry_delay(attempt) for attempt in range(RETRIES)],
        retry_condition_fn=_retryable,
    )
    def one(job: Job, *given: Any) -> Any:
        log: Log = get_run_logger()
        try:
            with running(Prefect()):  # Prefect runs tasks in threads of their own
                report = step.call(job, *given, log)
        except LoadError as error:
            return Failed(message=str(error), data=error)
        log.info("%s", report)
        return report

    return one


def _retryable(task: Any, task_run: Any, state: State[Any]) -> bool:
    error = state.result(raise_on_failure=False)
    return bool(getattr(error, "retryable", True))


def prefect_flow(function: Callable[..., Sequence[Report]], name: str) -> Flow[Any, Any]:
    """The function as a flow of Prefect's."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> State[Any]:
        with running(Prefect()):
            done = outcome(functools.partial(function, *args, **kwargs))
        state = Completed if done.completed else Failed
        return state(message=done.message, data=list(done.reports))

    return flow(name=name)(run)


def ended(state: State[Any]) -> Ended:
    """How a run of such a flow ended."""
    result = state.result(raise_on_failure=False)
    reports = result if isinstance(result, list) else []
    return Ended(state.is_completed(), state.message or str(result), reports)
