"""Flows to be lost: one subflow ends, the next waits in a task for a file. They note each try."""

import time
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.deployments.deployments import run_deployment
from prefect.runtime import flow_run

GO, TRIES = "go", "tries"


@task
def wait_for_go(folder: str) -> str:
    with Path(folder, TRIES).open("a") as tries:
        tries.write(f"{flow_run.id}\n")
    while not Path(folder, GO).exists():
        time.sleep(0.1)
    return "gone"


@flow
def first(folder: str) -> list[str]:
    return [folder]


@flow
def second(folder: str) -> str:
    return wait_for_go(folder)


@flow
def lost(folder: str) -> list[str]:
    """The scheduled start of each try is a line of `starts`."""
    with Path(folder, "starts").open("a") as starts:
        starts.write(f"{flow_run.scheduled_start_time.isoformat()}\n")
    done = first(folder, return_state=True)
    return [*done.result(), second(folder)]


@flow
def parent(folder: str) -> str:
    """Waits for a run of the deployment lost/lost, of which there is one however often this is tried."""
    with Path(folder, "parents").open("a") as tries:
        tries.write("try\n")
    child: Any = run_deployment("lost/lost", parameters={"folder": folder}, idempotency_key=folder, poll_interval=0.5)
    assert child.state.is_completed(), child.state
    return str(child.id)
