"""What the Docker engine of this machine knows: the containers of runs, and the services of our own stack."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from control.labels import RUN
from scripts.docker import docker_says
from scripts.services import Service, inspected, services
from scripts.take_down import run_containers


@dataclass(frozen=True)
class Container:
    """A run's container. run: the run's id; since: when it came into its status."""

    id: str
    run: str
    status: str
    code: int
    since: datetime


@dataclass(frozen=True)
class Engine:
    """The engine's side: containers by the id of their run, and the stack's services."""

    containers: dict[str, Container]
    services: list[Service]


def read_engine(env: Mapping[str, str]) -> Engine | None:
    """The engine's side now; None where no engine answers."""
    if not docker_says("version", "--format", "{{.Server.Version}}"):
        return None
    found = [container(one) for one in inspected(run_containers(env["NETWORK"]))]
    return Engine({one.run: one for one in found}, services(env["COMPOSE_PROJECT_NAME"]))


def container(found: dict[str, Any]) -> Container:
    """A run's container as `docker inspect` tells it."""
    state = found["State"]
    since = {"created": found["Created"], "exited": state["FinishedAt"], "dead": state["FinishedAt"]}
    return Container(
        found["Id"][:12],
        found["Config"]["Labels"].get(RUN, ""),
        state["Status"],
        state["ExitCode"],
        datetime.fromisoformat(since.get(state["Status"], state["StartedAt"])),
    )
