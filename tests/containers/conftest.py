"""Real containers: the images as `make images` builds them, and a stack of its own beside any that is running."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.docker import docker_says
from scripts.images import SERVED, jobs
from scripts.settings import PASSWORDS, ROOT, new_password, read_env, settings
from standins.google.servers import free_port
from tests.containers.runs import PROJECT, make, settle

PORTS = ("PREFECT_PORT", "POSTGRES_PORT", "GCS_PORT", "TOKEN_PORT", "BIGQUERY_PORT", "MAP_PORT")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip these tests where no engine answers."""
    if docker_says("version", "--format", "{{.Server.Version}}"):
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="no Docker engine answers"))


@pytest.fixture(scope="session")
def env() -> dict[str, str]:
    """Settings of a stack that shares nothing with a developer's."""
    mine = {name: new_password(name) for name in PASSWORDS}
    mine |= {"COMPOSE_PROJECT_NAME": PROJECT, "NETWORK": PROJECT, "PREFECT_API_URL": ""}
    mine |= {name: str(free_port()) for name in PORTS}
    example = read_env(ROOT / ".env.example")
    emulators = ("COMPOSE_PROFILES", "STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST", "GCS_BUCKET")
    mine |= {name: example[name] for name in emulators}
    mine |= {"GCP_KEY_FILE": "/dev/null", "GCP_KEY_UID": "10001", "GCP_PROJECT": "local", "TAG": settings()["TAG"]}
    return {**os.environ, **mine}


@pytest.fixture(scope="session")
def images(env: dict[str, str]) -> dict[str, str]:
    """Full names of the built images by short name."""
    done = make(env, "images")
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: f"longshore/{name}:{env['TAG']}" for name in [*jobs(), *SERVED]}


def inspect(thing: str) -> dict[str, Any]:
    """What Docker knows of an image or a container."""
    found: list[dict[str, Any]] = json.loads(docker_says("inspect", thing) or "[]")
    assert found, f"no {thing}"
    return found[0]


def inside(image: str, *command: str) -> str:
    """Output of a command in a container of the image, locked up as a job is."""
    locked = ["--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    done = subprocess.run(["docker", "run", "--rm", *locked, image, *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="package")
def stack(env: dict[str, str], images: dict[str, str]) -> Iterator[dict[str, str]]:
    """`make up SOURCE=demo` from nothing, taken down with its data afterwards."""
    make(env, "clean", "YES=1")
    done = make(env, "up", "SOURCE=demo")
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        settle(env)
        yield env
    finally:
        cleaned = make(env, "clean", "YES=1")
    assert cleaned.returncode == 0, cleaned.stdout + cleaned.stderr
