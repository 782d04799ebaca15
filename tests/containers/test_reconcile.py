"""Containers of runs that are lost, on the real engine: a server and workers of our own, an image that only waits."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from docker.errors import NotFound
from docker.models.containers import Container
from prefect.client.schemas.objects import State, StateType
from prefect.deployments.deployments import Deployment
from prefect.states import Cancelling, Completed, Running

from control.labels import RUN, STACK
from docker import DockerClient
from scripts.deploy import put_pool
from scripts.settings import ROOT
from standins.google.servers import stop
from tests.containers.lost import BEGUN, image, new_image
from tests.integration.lost_runs import lost
from tests.integration.prefect_server import api, bare_server
from tests.integration.test_reconcile_process import QUICK, names, read, state, until
from workpools import docker as pool
from workpools.job import JobDeployment
from workpools.pools import POOLS
from workpools.run_states import RESTARTED

NAME = f"longshore-lost-{uuid4().hex[:8]}"
IMAGE = new_image()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerClient]:
    """The engine, with our image and our stack's network on it while the tests run."""
    with image(IMAGE, tmp_path_factory.mktemp("image")) as client:
        network = client.networks.create(f"{NAME}-api", internal=True)
        try:
            yield client
        finally:
            for container in client.containers.list(all=True, filters={"ancestor": IMAGE}):
                container.remove(force=True, v=True)
            network.remove()


@pytest.fixture(scope="module")
def url(engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bare_server(tmp_path_factory.mktemp("prefect")) as made:
        asyncio.run(put_pool(POOLS[pool.TYPE]))
        yield made


@contextmanager
def worker(home: Path, url: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """Our worker of the pool, gone at the end; its log is home/worker.log."""
    given = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": url, "PYTHONPATH": str(ROOT), **QUICK}
    given |= {"NETWORK": NAME, "IMAGE_PREFIX": "longshore", "WORKER_ALIVE_FILE": str(home / "alive")}
    given |= {"PREFECT_TOKEN_KEY": "of-the-tests", "PREFECT_API_KEY": "", **env}
    command = [sys.executable, "-m", "workpools.worker", "--pool", "docker", "--type", "docker"]
    with (
        (home / "worker.log").open("ab") as log,
        subprocess.Popen(command, env=given, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as started,
    ):
        try:
            yield started
        finally:
            stop(started, 60)


async def _deploy(name: str, job: JobDeployment, lost_by: str) -> UUID:
    variables = pool.job_variables(job, IMAGE, {"NETWORK": NAME, "LOST": lost_by})
    # Nobody there asks it. Left out, Prefect would let the container reach this machine.
    variables["env"]["PREFECT_API_URL"] = "http://prefect:4200/api"
    made: Any = await Deployment.build_from_flow(
        flow=lost,
        name=name,
        work_pool_name=pool.TYPE,
        job_variables=variables,
        path=pool.FLOWS,
        entrypoint="tests/integration/lost_runs.py:lost",
        skip_upload=True,
        load_existing=False,
        ignore_file=os.devnull,
    )
    id: UUID = await made.apply()
    return id


def begin(name: str, lost_by: str = "wait", **limits: Any) -> UUID:
    """A run of a deployment of its own."""
    wanted: dict[str, Any] = {"memory_mib": 64, "settings": ("LOST",), **limits}
    job = JobDeployment("lost", "tests/integration/lost_runs.py:lost", name, "", **wanted)
    deployment = asyncio.run(_deploy(name, job, lost_by))
    id: UUID = api("create_flow_run_from_deployment", deployment, parameters={"folder": "/tmp"}).id
    return id


def containers(engine: DockerClient, run: UUID) -> list[Container]:
    found: list[Container] = engine.containers.list(all=True, filters={"label": f"{RUN}={run}"}, ignore_removed=True)
    return found


def running(engine: DockerClient, run: UUID) -> Container:
    """The run's container, once it runs and the server knows of it; the run is on, as if its engine had said so."""

    def found() -> Container | None:
        ours = [container for container in containers(engine, run) if container.status == "running"]
        return ours[0] if ours and read(run).infrastructure_pid == f"{NAME}:{ours[0].id}" else None

    container: Container = until(found, f"run {run} has no container that runs: {state(run)}")
    api("set_flow_run_state", run, Running())
    return container


def ended(run: UUID) -> State[Any]:
    found: State[Any] = until(lambda: (s := state(run)).is_final() and s, f"run {run} does not end")
    return found


def is_there(container: Container) -> bool:
    try:
        container.reload()
    except NotFound:
        return False
    return True


def until_removed(container: Container, log: Path) -> None:
    until(lambda: not is_there(container), f"{container.name} is still there: {log.read_text()}")


def until_none_of(engine: DockerClient, run: UUID) -> None:
    until(lambda: not containers(engine, run), f"run {run} leaves its container")


def labelled(engine: DockerClient, stack: str) -> Container:
    """A container of a run that no server knows."""
    made: Container = engine.containers.run(
        IMAGE,
        ["python", "-m", "longshore.flows.engine"],
        detach=True,
        network="none",
        environment={"LOST": "wait"},
        labels={STACK: stack, RUN: str(uuid4())},
    )
    return made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def test_what_was_lost_while_no_worker_was_there_is_put_right_and_nothing_else_is_touched(
    engine: DockerClient, url: str, home: Path
) -> None:
    log = home / "worker.log"
    with worker(home, url) as first:
        removed, killed, paused, done, cancelled = (
            begin("removed"),
            begin("killed", restarts=0),
            begin("paused"),
            begin("done"),
            begin("cancelled"),
        )
        of = {run: running(engine, run) for run in (removed, killed, paused, done, cancelled)}
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 0
    assert all(is_there(container) and container.status == "running" for container in of.values())
    of[removed].remove(force=True)
    of[killed].kill()
    of[paused].pause()
    api("set_flow_run_state", done, Completed(), force=True)
    api("set_flow_run_state", cancelled, Cancelling())
    of[cancelled].remove(force=True)
    stray, theirs = labelled(engine, NAME), labelled(engine, f"{NAME}-other")
    created = engine.containers.create(IMAGE, ["true"], labels={STACK: NAME, RUN: str(uuid4())}, network="none")
    try:
        with worker(home, url):
            again = running(engine, removed)
            assert again.id != of[removed].id
            assert names(removed).count(RESTARTED) == 1
            crashed = ended(killed)
            assert crashed.type is StateType.CRASHED
            assert crashed.message == (
                f"The container ended before the run did: exit code 137, killed. Its last lines:\n{BEGUN}"
            )
            assert ended(cancelled).type is StateType.CANCELLED
            for gone in (of[killed], of[done], stray, created):
                until_removed(gone, log)
            assert is_there(of[paused])
            assert of[paused].status == "paused"
            assert state(paused).type is StateType.RUNNING
            assert is_there(theirs)
            assert state(done).type is StateType.COMPLETED
            api("set_flow_run_state", removed, Cancelling())
            assert ended(removed).type is StateType.CANCELLED
            until_none_of(engine, removed)
    finally:
        theirs.remove(force=True)


def test_a_watched_container_that_is_removed_starts_its_run_again_once(
    engine: DockerClient, url: str, home: Path
) -> None:
    with worker(home, url):
        run = begin("watched")
        first = running(engine, run)
        first.remove(force=True)
        second = running(engine, run)
        assert second.id != first.id
        second.kill()
        crashed = ended(run)
        assert crashed.type is StateType.CRASHED
        assert "exit code 137, killed" in str(crashed.message)
        assert names(run).count(RESTARTED) == 1
        until_none_of(engine, run)


def test_a_run_that_never_begins_and_one_over_its_limit_are_crashed_and_not_started_again(
    engine: DockerClient, url: str, home: Path
) -> None:
    with worker(home, url, WORKER_START_SECONDS="20"):
        never, late, hungry = begin("never"), begin("late", timeout_seconds=20), begin("hungry", "memory")
        running(engine, late).pause()  # so that no limit within it ends it
        crashed = {run: ended(run) for run in (never, late, hungry)}
        for run in crashed:
            until_none_of(engine, run)
    assert {one.type for one in crashed.values()} == {StateType.CRASHED}
    said = {run: str(one.message) for run, one in crashed.items()}
    begun = f" Its last lines:\n{BEGUN}"
    assert said[never] == f"The run had not begun 20 s after its container was started.{begun}"
    assert said[late] == f"The run took longer than its time limit of 20 s; its container was stopped.{begun}"
    assert "out of memory (64 MiB" in said[hungry]
    assert not [run for run in crashed if RESTARTED in names(run)]


def test_the_worker_labels_what_it_makes(engine: DockerClient, url: str, home: Path) -> None:
    with worker(home, url):
        run = begin("labelled")
        container = running(engine, run)
        assert container.labels[STACK] == NAME
        assert json.dumps(container.attrs["HostConfig"]["Binds"]) in ("null", "[]")
        api("set_flow_run_state", run, Cancelling())
        assert ended(run).type is StateType.CANCELLED
