"""`make status` on a real Prefect server, with a real worker: the screen follows what happens."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Pending, Running, Scheduled

from scripts import api as scripts_api
from scripts.deployments import deployments
from scripts.docker import docker_says, image_exists
from scripts.settings import ROOT, settings
from scripts.status.read import read
from standins.google.servers import free_port
from tests.conftest import Database
from tests.integration.prefect_server import POOL, api, server, worker

BASE_IMAGES = (settings()["BASE_IMAGE"], "longshore/base:bookworm-python3.11")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="module")
def prefect(home: Path) -> Iterator[str]:
    with server(home) as url:
        yield url


def status(url: str, **env: str) -> subprocess.CompletedProcess[str]:
    """What `make status` runs, on a screen of 100 columns."""
    given = {**os.environ, "PREFECT_API_URL": url, "COLUMNS": "100", **env}
    return subprocess.run(
        [sys.executable, "-m", "scripts.status"], cwd=ROOT, env=given, capture_output=True, text=True, timeout=60
    )


def wanted(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What wants attention; the exit code must say so too."""
    assert done.stderr == ""
    lines = [line[2:] for line in done.stdout.splitlines() if line.startswith("! ")]
    assert done.returncode == bool(lines), done.stdout
    assert ("All is well." in done.stdout) is not bool(lines)
    return lines


def started(path: str, **given: Any) -> str:
    """The name of a new run of a deployment."""
    run: Any = api("create_flow_run_from_deployment", api("read_deployment_by_name", path).id, **given)
    return str(run.name)


def row(done: subprocess.CompletedProcess[str], name: str) -> str:
    """A deployment's line, its gaps as single spaces."""
    (line,) = (line for line in done.stdout.splitlines() if line.startswith(f"{name} "))
    return " ".join(line.split())


def until(prefect: str, said: Callable[[subprocess.CompletedProcess[str]], bool]) -> subprocess.CompletedProcess[str]:
    """The first screen of which something is true."""
    for _ in range(30):
        done = status(prefect)
        if said(done):
            return done
    raise AssertionError(done.stdout + done.stderr)


def test_the_screen_follows_what_happens(home: Path, prefect: str, taxi: Database, publish: Callable[..., Any]) -> None:
    publish(month=1)
    path, queue = "web-to-postgres/monthly", "web-to-postgres"

    (line,) = wanted(status(prefect))
    schedules = len([one for one in deployments() if one.schedule and not one.lacks({})])
    none = f"pool {POOL} has no worker online (there never was one)"
    assert line == f"{none}, but {schedules} schedules: make worker POOL={POOL}"

    with worker(home, prefect, {}):
        name = started(path, parameters={"year": 2021, "months": [1]})
        done = until(prefect, lambda done: " Completed " in done.stdout)
        assert wanted(done) == []
        shown = re.fullmatch(rf"{path} {POOL} none Completed (\S+) \d+ s \d+ s \w+ 1 \d\d:00", row(done, path))
        assert shown
        assert name.startswith(shown[1].removesuffix("…"))  # Prefect's names are of any length
        assert re.search(rf"^{POOL} +{POOL} +READY +- +\d .* \d+ s ago *$", done.stdout, re.MULTILINE)
        assert max(map(len, done.stdout.splitlines())) <= 100
        assert "\x1b" not in done.stdout

        name = started(path, parameters={"year": 2021, "months": [2]})  # the website has no such month
        done = until(prefect, lambda done: " Failed " in done.stdout)
        (failed,) = wanted(done)
        assert failed.startswith(f"{path}: {name} Failed: ")
        assert "yellow_tripdata_2021-02.csv.gz" in failed

        api("update_work_queue", {one.name: one.id for one in api("read_work_queues", POOL)}[queue], is_paused=True)
        for hours in (3, 2):
            started(path, state=Scheduled(scheduled_time=datetime.now(UTC) - timedelta(hours=hours)))
        done = status(prefect)
        paused, again, late = wanted(done)
        assert (
            paused == f"queue {queue} of pool {POOL} is paused: make prefect DO='work-queue resume {queue} -p {POOL}'"
        )
        assert again == failed
        assert late == f"{path}: 2 runs late, the first for 3 h"
        resume = paused.rpartition("DO='")[2].rstrip("'")
        command = [sys.executable, "-m", "scripts.prefect_command", resume]
        assert subprocess.run(command, cwd=ROOT, env={**os.environ, "PREFECT_API_URL": prefect}).returncode == 0
        assert not [line for line in wanted(status(prefect)) if " is paused" in line]


@pytest.mark.skipif(not docker_says("version", "--format", "{{.Server.Version}}"), reason="no Docker engine answers")
def test_a_runs_state_and_its_container_are_side_by_side(prefect: str) -> None:
    image = next((one for one in BASE_IMAGES if image_exists(one)), "")
    if not image:
        pytest.skip("no image to run: make base")
    stack = f"longshore-test-{uuid4()}"
    ours = {"PREFECT_PORT": prefect.split(":")[2].removesuffix("/api"), "NETWORK": stack, "COMPOSE_PROJECT_NAME": stack}
    api("create_work_pool", WorkPoolCreate(name="boxes", description="", type="docker"))
    flow = api("read_deployment_by_name", "web-to-postgres/monthly").flow_id
    api("create_deployment", flow, "boxed", work_pool_name="boxes", enforce_parameter_schema=False)
    name = started("web-to-postgres/boxed")
    (run,) = (one for one in api("read_flow_runs") if one.name == name)
    api("set_flow_run_state", run.id, Pending(), force=True)
    api("set_flow_run_state", run.id, Running(), force=True)
    labels = [f"--label=longshore.stack={stack}", f"--label=io.prefect.flow-run-id={run.id}"]
    front = f"web-to-postgres/boxed {name} Running"

    def line() -> str:
        done = status(prefect, COLUMNS="160", **ours)
        found = [" ".join(one.split()) for one in done.stdout.splitlines() if f" {name} " in one]
        return next(one for one in found if one.startswith(front))

    try:
        assert re.fullmatch(rf"{front} \d+ s none", line())
        made = docker_says("run", "--detach", *labels, "--entrypoint", "sleep", image, "600")
        assert re.fullmatch(rf"{front} \d+ s {made[:12]} running \d+ s", line())
        docker_says("kill", made)
        assert re.fullmatch(rf"{front} \d+ s {made[:12]} exited 137 \d+ s ago", line())
        elsewhere = status(prefect, COLUMNS="160", DOCKER_HOST="unix:///nowhere", **ours).stdout
        assert re.search(rf"{name} +Running +\d+ s +no engine here", elsewhere)
    finally:
        docker_says("rm", "--force", *docker_says("ps", "--all", "--quiet", "--filter", labels[0][2:]).split())
        api("delete_flow_run", run.id)


def test_nothing_is_left_out_where_the_api_gives_a_page_at_a_time(
    prefect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def paths() -> list[str]:
        async with get_client() as client:
            return [one.path for one in (await read(client)).deployments]

    with temporary_settings({PREFECT_API_URL: prefect}):
        whole = asyncio.run(paths())
        assert len(whole) > 4
        monkeypatch.setattr(scripts_api, "PAGE", 2)
        assert asyncio.run(paths()) == whole


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:{free}/api", r"no Prefect API at http://127\.0\.0\.1:\d+/api \(ConnectError\)\. Start one"),
        ("http://ann:s3cret@127.0.0.1:{free}/api", r"no Prefect API at http://127\.0\.0\.1:\d+/api \(ConnectError\)"),
        ("{prefect}/api", r"http://127\.0\.0\.1:\d+/api/api has no such workspace, or is no Prefect API: PREFECT_API_"),
        ("localhost", r"no Prefect API at localhost \(UnsupportedProtocol\)"),
    ],
)
def test_a_wrong_address_is_said_in_a_line(prefect: str, address: str, said: str) -> None:
    done = status(address.format(free=free_port(), prefect=prefect))
    assert done.returncode == 2
    assert re.match(said, done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "s3cret" not in done.stdout + done.stderr
