"""The stack's services: what docker-compose.yml says of them, and what the engine says of their containers."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from scripts.docker import docker_says
from scripts.settings import ROOT

PORT = re.compile(r"\$\{(\w+_PORT)\b")
OF_PROJECT = "label=com.docker.compose.project="


@dataclass(frozen=True)
class Service:
    """A service's container. status and health: Docker's words, health empty without a check; once: it is to end;
    restarts: how often Docker has started it again.
    """

    name: str
    container: str
    status: str
    health: str
    code: int
    once: bool
    restarts: int = 0

    @property
    def wrong(self) -> str:
        """What is wrong with it, in a word or two; empty when all is well."""
        if self.status == "running":
            return self.health if self.health == "unhealthy" else ""
        if self.status == "exited":
            return "" if self.once and self.code == 0 else f"exited with {self.code}"
        return "" if self.once and self.status == "created" else self.status


def services(project: str) -> list[Service]:
    """Those of a compose project that have a container, by name."""
    ids = docker_says("ps", "--all", "--quiet", "--no-trunc", "--filter", OF_PROJECT + project).split()
    return sorted((service(one) for one in inspected(ids)), key=lambda one: one.name)


def service(found: dict[str, Any]) -> Service:
    """A container as `docker inspect` tells it."""
    state = found["State"]
    return Service(
        found["Config"]["Labels"]["com.docker.compose.service"],
        found["Id"],
        state["Status"],
        state.get("Health", {}).get("Status", ""),
        state["ExitCode"],
        found["HostConfig"]["RestartPolicy"]["Name"] in ("", "no"),
        found["RestartCount"],
    )


def inspected(ids: Iterable[str]) -> list[dict[str, Any]]:
    """What Docker knows of these containers; nothing of those that have just gone."""
    known: list[dict[str, Any]] = json.loads(docker_says("inspect", "--type", "container", *ids) or "[]") if ids else []
    return known


def declared() -> dict[str, Any]:
    """docker-compose.yml, its variables as they stand there."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def port_settings(profiles: Iterable[str]) -> dict[str, str]:
    """Settings that name a port of this machine -> the service that takes it, where these profiles are on."""
    return {
        setting: name
        for name, about in declared()["services"].items()
        if not about.get("profiles") or set(about["profiles"]) & set(profiles)
        for port in about.get("ports", ())
        for setting in PORT.findall(port)
    }


def volumes(project: str) -> list[str]:
    """Full names of the stack's volumes, whether they are there or not."""
    return [f"{project}_{name}" for name in declared()["volumes"]]
