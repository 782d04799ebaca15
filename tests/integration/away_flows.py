"""Flows for the tests of a server that is away; files in the folder WAIT_FOLDER let them go on."""

import os
import time
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.states import Completed


def wait_for(name: str) -> None:
    """Say that it has come here, and wait until it may go on."""
    folder = Path(os.environ["WAIT_FOLDER"])
    (folder / f"{name}.reached").touch()
    while not (folder / name).exists():
        time.sleep(0.05)


@task
def double(number: int) -> int:
    """A task with a result and a line in the log."""
    get_run_logger().info("doubles %d", number)
    return 2 * number


@flow
def child(number: int) -> Any:
    """A subflow with a result that no server keeps."""
    return Completed(message="done", data=double(number))


@flow
def parent() -> Any:
    """Tasks and a subflow; its message is made of their results."""
    wait_for("begin")
    first = double(1)
    wait_for("middle")
    state: Any = child(first, return_state=True)
    found = state.result()
    return Completed(message=f"{double(found)}")


@task
def wait_for_ever() -> None:
    """A task that hangs."""
    wait_for("never")


@flow
def hanging_child() -> None:
    """A subflow that hangs."""
    wait_for_ever()


@flow
def hanging() -> None:
    """A flow that hangs."""
    hanging_child()
