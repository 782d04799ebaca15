"""What Prefect's server knows of runs, and setting their states when their infrastructure is lost."""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import pendulum
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType, TaskRun, WorkerStatus
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed, Scheduled, State

from control.labels import RESTARTS
from workpools.reconcile import Phase

RESTARTED = "Restarted"
ON = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
FINAL = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED]
UNFINISHED = [*ON, StateType.SCHEDULED, StateType.PAUSED]
PAGE = 200  # what the server gives at once
PHASES = {
    StateType.PENDING: Phase.PENDING,
    StateType.RUNNING: Phase.RUNNING,
    StateType.CANCELLING: Phase.CANCELLING,
    StateType.SCHEDULED: Phase.WAITING,
    StateType.PAUSED: Phase.WAITING,
}


def phase(run: FlowRun) -> Phase:
    """How far it is."""
    return PHASES.get(run.state.type, Phase.ENDED) if run.state else Phase.WAITING


async def read_on(client: PrefectClient, pool: str) -> list[FlowRun]:
    """The runs of a pool that are on."""
    on = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=ON), name=None))
    return await _pages(client, on, WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])))


async def read_ended(client: PrefectClient, pool: str, after: datetime) -> list[FlowRun]:
    """The runs of a pool that have ended, of those that were due after."""
    ended = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=FINAL), name=None),
        expected_start_time=FlowRunFilterExpectedStartTime(after_=after),
    )
    return await _pages(client, ended, WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])))


async def read_runs(client: PrefectClient, ids: Iterable[str]) -> list[FlowRun]:
    """The runs of these ids, as far as they are there."""
    found: list[FlowRun] = []
    wanted = [UUID(id) for id in ids]
    for start in range(0, len(wanted), PAGE):
        some = FlowRunFilterId(any_=wanted[start : start + PAGE])
        found += await _pages(client, FlowRunFilter(id=some))
    return found


async def _pages(client: PrefectClient, which: FlowRunFilter, pool: Any = None) -> list[FlowRun]:
    found: list[FlowRun] = []
    while True:
        page = await client.read_flow_runs(flow_run_filter=which, work_pool_filter=pool, limit=PAGE, offset=len(found))
        found += page
        if len(page) < PAGE:
            return found


async def others_online(client: PrefectClient, pool: str, name: str) -> bool:
    """Whether the pool has another worker."""
    workers = await client.read_workers_for_work_pool(pool)
    return any(worker.name != name and worker.status is WorkerStatus.ONLINE for worker in workers)


async def crash(client: PrefectClient, run_id: UUID, reason: str, restart: bool) -> State[Any] | None:
    """Report a run whose infrastructure is lost: started again where that is left to it, else Crashed; its new state.

    None: it has ended, or waits for a start already. Its parent never sees it ended if it is started again, and its
    scheduled start stays.
    """
    run = await client.read_flow_run(run_id)
    at = phase(run)
    if at in (Phase.ENDED, Phase.WAITING):
        return None
    if at is Phase.CANCELLING:
        return await cancel(client, run_id)
    again = restart and await _restarts_left(client, run)
    await _end_parts(client, run, lambda: Crashed(message=reason), again)
    if phase(await client.read_flow_run(run_id)) is not at:  # another worker was faster
        return None
    if again:
        message = f"Started again. {reason}"
        state: State[Any] = Scheduled(scheduled_time=pendulum.now("utc"), name=RESTARTED, message=message)
        # Or a next worker would look for the job of the first try.
        await client._client.patch(f"/flow_runs/{run_id}", json={"infrastructure_pid": None})
    else:
        state = Crashed(message=reason)
    await client.set_flow_run_state(run_id, state, force=True)
    return state


async def cancel(client: PrefectClient, run_id: UUID) -> State[Any] | None:
    """End a run that was being cancelled; None: it has ended."""
    run = await client.read_flow_run(run_id)
    if phase(run) is not Phase.CANCELLING:
        return None
    ended = partial(Cancelled, message="It was being cancelled, and its infrastructure has ended.")
    await _end_parts(client, run, ended, again=False)
    state: State[Any] = ended()
    await client.set_flow_run_state(run_id, state, force=True)
    return state


async def _restarts_left(client: PrefectClient, run: FlowRun) -> bool:
    if not run.deployment_id:
        return False
    try:
        deployment = await client.read_deployment(run.deployment_id)
    except ObjectNotFound:
        return False
    labels = (deployment.job_variables or {}).get("labels") or {}
    states = await client.read_flow_run_states(run.id)
    return sum(state.name == RESTARTED for state in states) < int(labels.get(RESTARTS, 1))


async def _end_parts(client: PrefectClient, run: FlowRun, ended: Callable[[], State[Any]], again: bool) -> None:
    """End the task runs and subflows of a run, before the run itself: who sees the run ended looks at no part of it.

    Left alone are runs that have a deployment, hence a job, of their own.
    """
    of_run = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run.id]))
    children = await _pages(client, of_run)
    elsewhere = {child.parent_task_run_id for child in children if child.deployment_id}
    for child in children:
        if not child.deployment_id and phase(child) is not Phase.ENDED:
            await _end_parts(client, child, ended, again)
            await client.set_flow_run_state(child.id, ended(), force=True)
    types = [*UNFINISHED, StateType.COMPLETED] if again else UNFINISHED
    inline = {child.parent_task_run_id for child in children} - elsewhere
    for task in await _tasks(client, run.id, types):
        # A subflow's result went with its process. Unless its task has crashed, the next try would ask for it.
        if task.id not in elsewhere and (task.state_type is not StateType.COMPLETED or task.id in inline):
            await client.set_task_run_state(task.id, ended(), force=True)


async def _tasks(client: PrefectClient, run_id: UUID, types: list[StateType]) -> list[TaskRun]:
    found: list[TaskRun] = []
    which = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=types), name=None))
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
    while True:
        page = await client.read_task_runs(flow_run_filter=of_run, task_run_filter=which, limit=PAGE, offset=len(found))
        found += page
        if len(page) < PAGE:
            return found
