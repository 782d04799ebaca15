"""What `make status` finds worth a person's attention: the rules that take hours to come true."""

import io
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pendulum
import pytest
from prefect.client.schemas.objects import DeploymentSchedule, FlowRun, State, StateType, Worker, WorkPool, WorkQueue
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from rich.console import Console

from scripts.services import Service
from scripts.status.attention import attention, span
from scripts.status.containers import Container, Engine
from scripts.status.read import Deployed, Picture, Pool
from scripts.status.show import tables

NOW: Any = pendulum.datetime(2026, 3, 1, 12, tz="UTC")
PATIENCE = timedelta(minutes=10)


def run(kind: StateType, name: str, minutes: float, message: str = "") -> FlowRun:
    """A run that came into this state so many minutes ago, and should have begun then."""
    since = NOW.subtract(minutes=minutes)
    state: State[Any] = State(type=kind, name=name, timestamp=since, message=message)
    times = {"expected_start_time": since, "next_scheduled_start_time": since, "start_time": since}
    return FlowRun(flow_id=uuid4(), name="red-fox", state=state, state_type=kind, state_name=name, **times)


def engine(*containers: tuple[FlowRun | None, str, int, float], services: tuple[Service, ...] = ()) -> Engine:
    """The engine's side: (run, status, exit code, minutes in this status)."""
    made = [
        Container("0123456789ab", str(of.id) if of else "gone", status, code, NOW.subtract(minutes=minutes))
        for of, status, code, minutes in containers
    ]
    return Engine({one.run: one for one in made}, list(services))


def service(status: str, health: str = "", code: int = 0, once: bool = False) -> Service:
    """A service's container."""
    return Service("map", "0123456789abcdef", status, health, code, once)


def picture(*runs: FlowRun, pool: str = "docker", worker: str = "ONLINE", seen: float = 0.5, **of: Any) -> Picture:
    """One deployment in one pool with one worker; the last of the runs is its last run."""
    template = {"variables": {"properties": {"timeout": {"default": 3600}} if pool == "cloud-run" else {}}}
    about = WorkPool(name=pool, type=pool, base_job_template=template, default_queue_id=uuid4())
    heartbeat = {"last_heartbeat_time": NOW.subtract(minutes=seen), "status": worker}
    workers = [Worker(name="w", work_pool_id=about.id, **heartbeat)] if worker else []
    schedules = [DeploymentSchedule(schedule=CronSchedule(cron="0 * * * *"))]
    named = {"name": "monthly", "flow_id": uuid4(), "work_pool_name": pool, "work_queue_name": "etl"}
    deployment = DeploymentResponse(**{**named, "schedules": schedules, **of})
    open_runs = [one for one in runs if one.state and not one.state.is_final()]
    last = runs[-1] if runs else None
    return Picture(
        NOW,
        [Pool(about, workers, [WorkQueue(name="etl", work_pool_id=about.id)])],
        [Deployed("etl/monthly", deployment, last, None, open_runs)],
    )


@pytest.mark.parametrize(
    "well",
    [
        picture(),
        picture(run(StateType.COMPLETED, "Completed", 600)),
        picture(run(StateType.CANCELLED, "Cancelled", 600)),
        picture(run(StateType.FAILED, "Failed", 60), run(StateType.RUNNING, "Running", 5)),
        picture(run(StateType.RUNNING, "Running", 6_000)),  # nothing limits a container of Docker's
        picture(run(StateType.RUNNING, "Running", 69), pool="cloud-run"),
        picture(run(StateType.PENDING, "Pending", 9)),
        picture(run(StateType.SCHEDULED, "Late", 9)),
        picture(worker="OFFLINE", seen=600, paused=True),
        picture(worker="", pool="cloud-run:push"),
    ],
)
def test_all_is_well(well: Picture) -> None:
    assert attention(well, PATIENCE) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (picture(run(StateType.SCHEDULED, "Late", 180)), ["etl/monthly: 1 run late, the first for 3 h"]),
        (
            picture(run(StateType.RUNNING, "Running", 240), run(StateType.SCHEDULED, "Late", 180)),
            ["etl/monthly: 1 run late, the first for 3 h, behind red-fox"],
        ),
        (picture(run(StateType.PENDING, "Pending", 11)), ["etl/monthly: red-fox Pending for 11 min: see the worker's"]),
        (picture(run(StateType.CANCELLING, "Cancelling", 30)), ["etl/monthly: red-fox Cancelling for 30 min: see the"]),
        (
            picture(run(StateType.RUNNING, "Running", 150), pool="cloud-run"),
            ["etl/monthly: red-fox Running for 2 h, longer than its container may: make prefect DO='flow-run cancel "],
        ),
        (
            picture(run(StateType.RUNNING, "Running", 40), pool="cloud-run", job_variables={"timeout": 600}),
            ["etl/monthly: red-fox Running for 40 min, longer than its container may"],
        ),
        (
            picture(run(StateType.CRASHED, "Crashed", 30, "killed\n\n  by the engine")),
            ["etl/monthly: red-fox Crashed: killed by the engine"],
        ),
        (
            picture(worker="OFFLINE", seen=200),
            ["pool docker has no worker online (the last one was seen 3 h ago), but 1 schedule: make worker POOL="],
        ),
        (
            picture(run(StateType.RUNNING, "Running", 5), worker="", paused=True),
            ["pool docker has no worker online (there never was one), but 1 open run: make worker POOL=docker"],
        ),
        (picture(work_pool_name="gone"), ["etl/monthly has no work pool, so nothing runs it: make deploy"]),
        (Picture(NOW, [], []), ["nothing is deployed yet: make deploy"]),
    ],
)
def test_it_wants_attention(wrong: Picture, said: list[str]) -> None:
    lines = attention(wrong, PATIENCE)
    assert len(lines) == len(said)
    assert all(line.startswith(start) for line, start in zip(lines, said, strict=True)), lines


LONG = run(StateType.RUNNING, "Running", 30)
YOUNG = run(StateType.RUNNING, "Running", 0.5)
ENDED = run(StateType.COMPLETED, "Completed", 20)
JUST_ENDED = run(StateType.COMPLETED, "Completed", 0.5)


@pytest.mark.parametrize(
    ("mine", "pool", "found"),
    [
        ((LONG,), "docker", engine((LONG, "running", 0, 30))),
        ((YOUNG,), "docker", engine()),  # its container comes in a moment
        ((LONG,), "process", engine()),  # has none
        ((LONG,), "docker", None),  # no engine here
        ((JUST_ENDED,), "docker", engine((JUST_ENDED, "running", 0, 30))),
        ((ENDED,), "docker", engine((ENDED, "exited", 0, 0.2))),  # the worker is at it
        (
            (),
            "docker",
            engine(services=(service("running", "healthy"), service("running"), service("running", "starting"))),
        ),
        ((), "docker", engine(services=(service("exited", once=True), service("created", once=True)))),
    ],
)
def test_run_and_container_agree(mine: tuple[FlowRun, ...], pool: str, found: Engine | None) -> None:
    others = tuple(one for one in mine if one.state and one.state.is_final())
    assert attention(replace(picture(*mine, pool=pool), engine=found, others=others), PATIENCE) == []


@pytest.mark.parametrize(
    ("mine", "found", "said"),
    [
        (
            (LONG,),
            engine(),
            "etl/monthly: red-fox Running, but no container: see the worker's log; make prefect DO='flow",
        ),
        (
            (LONG,),
            engine((LONG, "exited", 137, 3)),
            "etl/monthly: red-fox Running, but its container 0123456789ab exited 137 3 min ago: see the worker's log; ",
        ),
        (
            (run(StateType.CANCELLING, "Cancelling", 5),),
            engine(),
            "etl/monthly: red-fox Cancelling, but no container: see the worker's log",
        ),
        (
            (LONG,),
            engine((LONG, "paused", 0, 3)),
            "etl/monthly: red-fox Running, but its container 0123456789ab paused 3 min: see the worker's log",
        ),
        (
            (ENDED,),
            engine((ENDED, "running", 0, 120)),
            "container 0123456789ab (running 2 h) outlives its run (red-fox, Completed for 20 min): see",
        ),
        (
            (),
            engine((None, "created", 0, 9)),
            "container 0123456789ab (created 9 min) has no run: docker rm --force 0123",
        ),
        ((), engine(services=(service("running", "unhealthy"),)), "service map is unhealthy: docker logs 0123456789ab"),
        (
            (),
            engine(services=(service("exited", code=137),)),
            "service map is exited with 137: docker logs 0123456789ab",
        ),
        ((), engine(services=(service("exited", code=1, once=True),)), "service map is exited with 1: docker logs"),
        ((), engine(services=(service("restarting"),)), "service map is restarting: docker logs 0123456789ab"),
        ((), engine(services=(service("paused"),)), "service map is paused: docker unpause 0123456789ab"),
    ],
)
def test_run_and_container_have_lost_each_other(mine: tuple[FlowRun, ...], found: Engine, said: str) -> None:
    others = tuple(one for one in mine if one.state and one.state.is_final())
    (line,) = attention(replace(picture(*mine), engine=found, others=others), PATIENCE)
    assert line.startswith(said)


def test_state_and_container_are_side_by_side() -> None:
    def row(found: Engine | None, pool: str = "docker") -> list[str]:
        console = Console(width=120, record=True, file=io.StringIO())
        console.print(*tables(replace(picture(LONG, pool=pool), engine=found)))
        return [" ".join(line.split()) for line in console.export_text().splitlines() if " 30 min " in line]

    front = "etl/monthly red-fox Running 30 min"
    assert front + " 0123456789ab running 29 min" in row(engine((LONG, "running", 0, 29)))
    assert front + " 0123456789ab exited 137 2 min ago" in row(engine((LONG, "exited", 137, 2)))
    assert front + " none" in row(engine())
    assert front + " no engine here" in row(None)
    assert not [line for line in row(engine(), "process") if line.startswith(front)]


def test_a_long_message_stays_a_line() -> None:
    (line,) = attention(picture(run(StateType.FAILED, "Failed", 1, "x" * 5_000)), PATIENCE)
    assert len(line) < 400
    assert line.endswith("x …")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-3, "0 s"), (59, "59 s"), (61, "1 min"), (7_199, "119 min"), (7_200, "2 h"), (200_000, "2 d")],
)
def test_spans_are_short(seconds: int, said: str) -> None:
    assert span(timedelta(seconds=seconds)) == said


def test_a_worker_of_long_ago_is_not_shown() -> None:
    def screen(seen: float) -> str:
        console = Console(width=100, record=True, file=io.StringIO())
        console.print(*tables(picture(worker="OFFLINE", seen=seen)))
        return console.export_text()

    assert "w OFFLINE" in screen(60)
    assert "none" in screen(60 * 24 * 8)
    assert "OFFLINE" not in screen(60 * 24 * 8)
