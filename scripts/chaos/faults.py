"""The faults, each a cause and its end: what breaks in a data centre, done to containers of the stack."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scripts.docker import docker_says
from scripts.settings import UserError
from scripts.stack import container
from scripts.take_down import run_containers

EVERYTHING = ("worker", "engine", "prefect", "postgres", "prefect-db", "gcs", "bigquery", "sources", "buses", "map")


@dataclass
class Stack:
    """A running stack. env: its settings; chance: seeded, so that a row of faults can be had again."""

    env: Mapping[str, str]
    chance: random.Random

    def service(self, name: str) -> str:
        """A service's container."""
        if not (found := container(dict(self.env), name)):
            raise UserError(f"the stack has no {name}: make up SOURCE=demo")
        return found

    def jobs(self) -> list[str]:
        """Containers of runs, whatever their state."""
        return run_containers(self.env["NETWORK"])

    def soon(self, least: float, most: float) -> None:
        """Wait for a moment of chance."""
        time.sleep(self.chance.uniform(least, most))


def kill_jobs(stack: Stack) -> None:
    """kill -9 of every run's container."""
    for one in stack.jobs():
        docker_says("kill", "--signal", "KILL", one)


def kill(*services: str) -> Callable[[Stack], None]:
    """kill -9 of services. The engine does not bring back what `docker kill` ended: the start does."""

    def fault(stack: Stack) -> None:
        found = [stack.service(name) for name in services]
        docker_says("kill", "--signal", "KILL", *found)
        stack.soon(0, 3)
        docker_says("start", *found)

    return fault


def kill_all_of_a_run(stack: Stack) -> None:
    """A power cut: worker and jobs at once."""
    worker = stack.service("worker")
    docker_says("kill", "--signal", "KILL", worker, *stack.jobs())
    stack.soon(0, 3)
    docker_says("start", worker)


def restart(*services: str) -> Callable[[Stack], None]:
    """`docker restart`."""

    def fault(stack: Stack) -> None:
        docker_says("restart", *(stack.service(name) for name in services))

    return fault


def freeze(*services: str, seconds: float = 20) -> Callable[[Stack], None]:
    """SIGSTOP for a while: they hold their connections and answer nothing."""

    def fault(stack: Stack) -> None:
        found = [stack.service(name) for name in services]
        docker_says("pause", *found)
        try:
            time.sleep(seconds)
        finally:
            for one in found:  # one by one: somebody may have restarted one of them
                docker_says("unpause", one)

    return fault


def freeze_jobs(stack: Stack) -> None:
    """The same for the runs."""
    if found := stack.jobs():
        docker_says("pause", *found)
        time.sleep(10)
        for one in found:
            docker_says("unpause", one)


def cut(service: str, network: str, seconds: float = 15) -> Callable[[Stack], None]:
    """Take a service off a network for a while: connections hang, names are gone."""

    def fault(stack: Stack) -> None:
        name, found = f"{stack.env['NETWORK']}-{network}", stack.service(service)
        docker_says("network", "disconnect", "--force", name, found)
        try:
            time.sleep(seconds)
        finally:
            docker_says("network", "connect", "--alias", service, name, found)

    return fault


FAULTS: dict[str, Callable[[Stack], None]] = {
    "kill -9 of the jobs": kill_jobs,
    "kill -9 of the worker": kill("worker"),
    "kill -9 of worker and jobs at once": kill_all_of_a_run,
    "restart of Prefect's server": restart("prefect"),
    "kill -9 of Prefect's server": kill("prefect"),
    "restart of Prefect's database": restart("prefect-db"),
    "restart of the warehouse": restart("postgres"),
    "kill -9 of the warehouse": kill("postgres"),
    "restart of the emulators": restart("gcs", "bigquery"),
    "restart of the website": restart("sources"),
    "restart of the engine proxy": restart("engine"),
    "jobs frozen for 10 s": freeze_jobs,
    "server frozen for 20 s": freeze("prefect"),
    "worker frozen for 20 s": freeze("worker"),
    "server cut off from the jobs for 15 s": cut("prefect", "api"),
    "warehouse cut off from the jobs for 15 s": cut("postgres", "warehouse"),
    "server and warehouse restarted at once": restart("prefect", "postgres"),
    "restart of everything": restart(*EVERYTHING),
}
