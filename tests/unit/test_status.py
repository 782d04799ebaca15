"""What `make status` finds worth a person's attention: the rules that take hours to come true."""

import io
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pendulum
import pytest
from prefect.client.schemas.objects import DeploymentSchedule, FlowRun, State, StateType, Worker, WorkPool, WorkQueue
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from rich.console import Console

from scripts.status.attention import attention, span
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
            ["etl/monthly: red-fox Running for 2 h, longer than its container may: .venv/bin/prefect flow-run cancel "],
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
