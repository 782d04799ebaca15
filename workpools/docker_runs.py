"""Containers of runs, as a worker sees them through the engine's API."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

from docker.errors import APIError, NotFound

from control.labels import RUN, STACK, TIMEOUT
from docker import DockerClient
from longshore.flows.engine import OVERDUE
from workpools.reconcile import Job

KILLED = 137
NOT_ENDED = {"running", "paused", "restarting"}
LINES, CHARACTERS = 20, 2_000
UNSTARTED = timedelta(seconds=60)  # after which nobody will start what was made
STOP_SECONDS = 10


def find(client: DockerClient, stack: str, now: datetime) -> list[Job]:
    """Every container of this stack's runs, of any status."""
    jobs = []
    for listed in client.api.containers(all=True, filters={"label": [f"{STACK}={stack}", RUN]}):
        with contextlib.suppress(NotFound):
            jobs.append(job(client.api.inspect_container(listed["Id"]), now))
    return jobs


def job(container: dict[str, Any], now: datetime) -> Job:
    """What the engine says of a container (`docker inspect`)."""
    state, labels = container["State"], container["Config"]["Labels"]
    began, ended, why, restart = _time(state["StartedAt"]), None, "", True
    if state["Status"] == "created":
        began = _time(container["Created"])
        if now - began > UNSTARTED:
            ended, why = began + UNSTARTED, "it was never started"
    elif state["Status"] not in NOT_ENDED:
        # One whose start failed has an end, but never began.
        ended = max(_time(state["FinishedAt"]), began, _time(container["Created"]))
        why, restart = how_ended(container)
    limit = labels.get(TIMEOUT, "")
    return Job(
        id=container["Id"],
        run=labels[RUN],
        began=began,
        ended=ended,
        limit=int(limit) if limit.isdecimal() else None,
        why=why,
        restart=restart,
    )


def how_ended(container: dict[str, Any]) -> tuple[str, bool]:
    """How it ended, in words; whether it may be the machine's fault, so that another try may help."""
    state = container["State"]
    if state.get("OOMKilled"):
        mib = container["HostConfig"].get("Memory", 0) // 2**20
        return f"exit code {state['ExitCode']}, out of memory ({mib} MiB, memory_mib of its deployment)", False
    if state["ExitCode"] == OVERDUE:
        return f"exit code {OVERDUE}, over its time limit", False
    said = f"exit code {state['ExitCode']}" + (", killed" if state["ExitCode"] == KILLED else "")
    return f"{said}; {state['Error']}" if state.get("Error") else said, True


def last_lines(client: DockerClient, id: str) -> str:
    """What it wrote last; empty when it is gone."""
    try:
        wrote: bytes = client.api.logs(id, tail=LINES)
    except APIError:
        return ""
    return wrote.decode(errors="replace").strip()[-CHARACTERS:]


def remove(client: DockerClient, id: str) -> None:
    """Stop it, gently at first, and remove it. Nothing if it is gone, or is being removed."""
    with contextlib.suppress(NotFound):
        if client.api.inspect_container(id)["State"]["Status"] in NOT_ENDED:
            with contextlib.suppress(APIError):  # whatever keeps it from stopping, force does not mind
                client.api.stop(id, timeout=STOP_SECONDS)
        try:
            client.api.remove_container(id, v=True, force=True)
        except APIError as error:
            if error.status_code != 409:
                raise


def _time(said: str) -> datetime:
    return datetime.fromisoformat(said).astimezone(UTC) if not said.startswith("0001") else _NEVER


_NEVER = datetime.min.replace(tzinfo=UTC)
