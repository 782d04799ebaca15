"""What can keep the stack from starting, in words that say what to do about it."""

import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from scripts.docker import docker_says
from scripts.services import OF_PROJECT, Service, inspected, port_settings, volumes
from scripts.settings import ROOT, UserError

BUILD_GB = 5  # what all images and the steps in between take
LINES = 15  # of a service's log
# What a service's log says -> what to do. {volumes}: those of this stack.
ADVICE = {
    ("password authentication failed", "PREFECT_SERVER_ENCRYPTION_KEY does not decrypt"): (
        "The passwords of .env are not those of the volumes that are there ({volumes}): put the .env back that they "
        "were made with. If it is lost, `make clean` deletes the volumes with all data; then `make up` makes new ones."
    ),
    ("no answer from the Docker engine",): (
        "DOCKER_SOCKET in .env must be the engine's socket, and DOCKER_GID the number of the group that may use it "
        "(empty: as found on this machine)."
    ),
    ("No space left on device",): "The disk is full: `docker system df` says what takes it.",
}


def need_ports(env: Mapping[str, str]) -> None:
    """Fail where a port that the stack is to take is no port, is named twice, or is held by somebody else."""
    wanted = port_settings(env["COMPOSE_PROFILES"].split(","))
    ours = own_ports(env["COMPOSE_PROJECT_NAME"])
    seen: dict[int, str] = {}
    taken = []
    for setting in wanted:
        text = env[setting]
        if not text.isdecimal() or not 1 <= int(text) <= 65_535:
            raise UserError(f"{setting}={text}: not a port, which is a number from 1 to 65535")
        port = int(text)
        if port in seen:
            raise UserError(f"{setting} and {seen[port]} are both {port}: set one of them in .env to another port")
        seen[port] = setting
        if port not in ours and is_taken(port):
            holder = docker_says("ps", "--filter", f"publish={port}", "--format", "{{.Names}}").split("\n")[0]
            taken.append(f"{setting}={port}, by {f'the container {holder}' if holder else 'another program'}")
    if taken:
        raise UserError(f"taken on 127.0.0.1: {'; '.join(taken)}. Stop what holds it, or set another port in .env.")


def own_ports(project: str) -> set[int]:
    """Ports of this machine that the containers of a compose project hold."""
    running = inspected(docker_says("ps", "--quiet", "--filter", OF_PROJECT + project).split())
    bound = [some for one in running for some in one["NetworkSettings"]["Ports"].values() if some]
    return {int(one["HostPort"]) for some in bound for one in some}


def is_taken(port: int) -> bool:
    """Whether somebody listens there. A port below 1024, which the engine may take and we may not, counts as free."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except PermissionError:
            return False
        except OSError:
            return True
    return False


def need_room(env: Mapping[str, str], gigabytes: float = BUILD_GB, copies: Path = ROOT / "docker/extra-ca") -> None:
    """Fail before a build where it could not end: no room on the disk, no right to write what it takes along."""
    root = Path(docker_says("info", "--format", "{{.DockerRootDir}}") or "/nowhere")
    folder = root if os.access(root, os.F_OK) else ROOT  # the engine may be on another machine
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        raise UserError(
            f"only {free:.1f} GB are free where {folder} is, and the images may take {gigabytes:g} GB to build. "
            "`docker system df` says what takes room; `docker image prune` removes images without a name."
        )
    if env.get("EXTRA_CA_FILE") and not os.access(copies, os.W_OK, effective_ids=True):
        raise UserError(f"cannot write {copies}, where the build takes EXTRA_CA_FILE from. Use a checkout of your own.")


def what_is_wrong(service: Service, project: str) -> str:
    """A service that is not well, its last lines, and what to do."""
    log = docker_says("logs", "--tail", str(LINES), service.container, both=True)
    told = [f"  {line}" for line in log.splitlines()] or ["  (it said nothing)"]
    state = service.wrong or (
        f"started again and again ({service.restarts} times)" if service.restarts else "not healthy yet"
    )
    what = f"{service.name} is {state}. Its last lines:"
    return "\n".join([what, *told, advice(log, project) or "More: make logs"])


def advice(log: str, project: str) -> str:
    """What to do about a known fault that a log tells of; empty for any other."""
    known = (text for signs, text in ADVICE.items() if any(sign in log for sign in signs))
    return next(known, "").format(volumes=", ".join(volumes(project)))
