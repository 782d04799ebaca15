"""Stops the stack and removes its containers: the services, and those of runs in whatever state they are."""

from collections.abc import Iterable

from control.labels import RUN, STACK
from scripts.docker import compose, docker_says
from scripts.services import OF_PROJECT, inspected
from scripts.settings import UserError


def take_down(env: dict[str, str], *more: str) -> None:
    """The worker first, so that it starts nothing new; then the jobs, which hold the network and note their own end."""
    project = env["COMPOSE_PROJECT_NAME"]
    mine = ("--filter", OF_PROJECT + project)
    if paused := docker_says("ps", "--quiet", "--filter", "status=paused", *mine).split():
        docker_says("unpause", *paused)  # who is frozen hears no signal
    compose(env, "stop", "worker")
    networks = docker_says("network", "ls", "--format", "{{.Name}}", *mine).split()
    remove_runs(env["NETWORK"], networks)
    try:
        compose(env, "down", *more, "--remove-orphans")
    except UserError:
        # A worker outside of the stack may have begun a run meanwhile, which holds a network.
        if not remove_runs(env["NETWORK"], networks):
            raise
        compose(env, "down", *more, "--remove-orphans")
    remove_runs(env["NETWORK"], networks)
    if left := docker_says(
        "network", "ls", "--quiet", *mine
    ).split():  # an older version's, which compose knows no more
        docker_says("network", "rm", *left)


def remove_runs(stack: str, networks: Iterable[str]) -> bool:
    """Stop and remove the containers of runs, in whatever state they are; whether there were any."""
    found = run_containers(stack, networks)
    states = {one["Id"]: one["State"]["Status"] for one in inspected(found)}
    if paused := [one for one, state in states.items() if state == "paused"]:
        docker_says("unpause", *paused)
    if running := [one for one, state in states.items() if state in ("running", "paused", "restarting")]:
        print(f"stopping {len(running)} run(s)", flush=True)
        docker_says("stop", *running)
    if found:
        docker_says("rm", "--force", "--volumes", *found)  # as the worker would have
    if left := run_containers(stack, networks):
        raise UserError(f"containers that Docker does not remove: {' '.join(one[:12] for one in left)}")
    return bool(found)


def run_containers(stack: str, networks: Iterable[str] = ()) -> list[str]:
    """Ids of the stack's job containers, of any state: by our label, and by network those of an older version."""
    asked = [[f"label={STACK}={stack}"], *([f"label={RUN}", f"network={one}"] for one in networks)]
    said = [[part for one in filters for part in ("--filter", one)] for filters in asked]
    return sorted({one for some in said for one in docker_says("ps", "--all", "--quiet", "--no-trunc", *some).split()})
