"""What Prefect and the engine know, read side by side: pools with workers and queues, deployments, runs, containers."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pendulum
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterId,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType, Worker, WorkerStatus, WorkPool, WorkQueue
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from scripts.api import every
from scripts.settings import own_server
from scripts.status.containers import Engine, read_engine

UNDER_WAY = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
OLDEST = FlowRunSort.EXPECTED_START_TIME_ASC


@dataclass(frozen=True)
class Pool:
    """A work pool, the workers that it has heard of, and its queues."""

    about: WorkPool
    workers: list[Worker]
    queues: list[WorkQueue]

    @property
    def online(self) -> list[Worker]:
        """The workers that answer."""
        return [one for one in self.workers if one.status == WorkerStatus.ONLINE]

    @property
    def needs_worker(self) -> bool:
        """Whether it is ours to run one; Prefect Cloud's push and managed pools need none."""
        return not (self.about.is_push_pool or self.about.is_managed_pool)


@dataclass(frozen=True)
class Deployed:
    """A deployment: the run that began last or should have, the next one, and those under way or overdue."""

    path: str
    about: DeploymentResponse
    last: FlowRun | None
    next: FlowRun | None
    open: list[FlowRun]

    @property
    def scheduled(self) -> bool:
        """Whether it runs by itself."""
        return not self.about.paused and any(one.active for one in self.about.schedules)


@dataclass(frozen=True)
class Picture:
    """All of it at one moment."""

    now: Any  # pendulum.DateTime, in the local zone
    pools: list[Pool]
    deployments: list[Deployed]
    engine: Engine | None = None  # none on this machine, or the server is not our own stack's
    others: tuple[FlowRun, ...] = ()  # runs that have a container and are not open

    def on_docker(self, one: Deployed) -> bool:
        """Whether its runs have containers of the engine's."""
        return any(pool.about.name == one.about.work_pool_name and pool.about.type == "docker" for pool in self.pools)


async def read(client: PrefectClient, env: Mapping[str, str] | None = None) -> Picture:
    """The picture now; env: settings, with which the engine is asked too."""
    # The engine first: a run that ends meanwhile may still have a container, a new one gets its own in a moment.
    engine = await asyncio.to_thread(read_engine, env) if env and own_server(env) else None
    now = pendulum.now("local")
    pools, flows, deployments, open_runs = await asyncio.gather(
        every(client.read_work_pools), every(client.read_flows), every(client.read_deployments), read_open(client, now)
    )
    flow = {one.id: one.name for one in flows}
    found, deployed = await asyncio.gather(
        asyncio.gather(*(read_pool(client, one) for one in pools)),
        asyncio.gather(
            *(read_deployed(client, f"{flow[one.flow_id]}/{one.name}", one, open_runs, now) for one in deployments)
        ),
    )
    known = {str(run.id) for run in open_runs}
    others = await read_runs(client, [run for run in (engine.containers if engine else {}) if run and run not in known])
    return Picture(
        now,
        sorted(found, key=lambda one: one.about.name),
        sorted(deployed, key=lambda one: one.path),
        engine,
        tuple(others),
    )


async def read_runs(client: PrefectClient, ids: list[str]) -> list[FlowRun]:
    """These runs; those that are no more are left out."""
    if not ids:
        return []
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(one) for one in ids]))
    return await every(client.read_flow_runs, flow_run_filter=wanted)


async def read_pool(client: PrefectClient, pool: WorkPool) -> Pool:
    """A pool with what belongs to it; without, when it has just been deleted."""
    try:
        workers, queues = await asyncio.gather(
            every(client.read_workers_for_work_pool, pool.name), every(client.read_work_queues, pool.name)
        )
    except ObjectNotFound:
        return Pool(pool, [], [])
    return Pool(pool, sorted(workers, key=lambda one: one.last_heartbeat_time, reverse=True), queues)


async def read_open(client: PrefectClient, now: Any) -> list[FlowRun]:
    """The runs of all deployments that are under way, and those that should be."""
    overdue = FlowRunFilterNextScheduledStartTime(before_=now)
    begun, waiting = await asyncio.gather(
        every(client.read_flow_runs, flow_run_filter=FlowRunFilter(state=in_state(*UNDER_WAY)), sort=OLDEST),
        every(
            client.read_flow_runs,
            flow_run_filter=FlowRunFilter(state=in_state(StateType.SCHEDULED), next_scheduled_start_time=overdue),
            sort=OLDEST,
        ),
    )
    return list({run.id: run for run in [*begun, *waiting]}.values())  # one may begin between the two answers


async def read_deployed(
    client: PrefectClient, path: str, deployment: DeploymentResponse, open_runs: list[FlowRun], now: Any
) -> Deployed:
    """A deployment with its runs: two calls, however many there are."""
    of = FlowRunFilterDeploymentId(any_=[deployment.id])
    begun = FlowRunFilterExpectedStartTime(before_=now)
    coming = FlowRunFilterNextScheduledStartTime(after_=now)
    last, following = await asyncio.gather(
        client.read_flow_runs(
            flow_run_filter=FlowRunFilter(deployment_id=of, expected_start_time=begun),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=1,
        ),
        client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                deployment_id=of, state=in_state(StateType.SCHEDULED), next_scheduled_start_time=coming
            ),
            sort=FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC,
            limit=1,
        ),
    )
    mine = [run for run in open_runs if run.deployment_id == deployment.id]
    return Deployed(path, deployment, next(iter(last), None), next(iter(following), None), mine)


def in_state(*types: StateType) -> FlowRunFilterState:
    """Filter: runs in a state of one of these types."""
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)), name=None)
