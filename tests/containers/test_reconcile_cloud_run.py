"""Jobs of Cloud Run that are lost while no worker watches: a server, workers and a stand-in of our own."""

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
from uuid import UUID

import pytest
from prefect.client.schemas.objects import State, StateType
from prefect.deployments.deployments import Deployment
from prefect.states import Completed, Running

from scripts.deploy import put_pool
from scripts.docker import docker_says
from scripts.gcp_key import local_key, token_uri
from scripts.settings import ROOT
from standins.google.cloud_run.execution import LABEL
from standins.google.cloud_run.server import HERE, Front, cloud_run
from standins.google.cloud_run.service import CloudRun, Job
from standins.google.servers import stop
from tests.containers.lost import image, new_image
from tests.integration.lost_runs import lost
from tests.integration.prefect_server import api, bare_server
from tests.integration.test_reconcile_process import QUICK, names, read, state, until
from workpools.job import JobDeployment
from workpools.pools import POOLS
from workpools.run_states import RESTARTED

PUSHED = f"us-central1-docker.pkg.dev/local/longshore/lost@sha256:{'0' * 64}"
ENV = {
    "GCP_PROJECT": "local",
    "GCP_REGION": HERE,
    "JOB_SERVICE_ACCOUNT": "longshore-jobs@local.iam.gserviceaccount.com",
    "LOST": "wait",
}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    name = new_image()
    with image(name, tmp_path_factory.mktemp("image")):
        run = CloudRun("local", "none", {PUSHED: name}, {})
        with cloud_run(run, tmp_path_factory.mktemp("run")) as served:
            try:
                yield served
            finally:
                run.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bare_server(tmp_path_factory.mktemp("prefect")) as made:
        yield made


@contextmanager
def worker(home: Path, url: str, pool: str, front: Front) -> Iterator[subprocess.Popen[bytes]]:
    given = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": url, "PYTHONPATH": str(ROOT), **QUICK}
    key = home / "key.json"
    key.write_text(json.dumps(local_key(token_uri(front.url), "local")))
    given |= {
        "GOOGLE_APPLICATION_CREDENTIALS": str(key),
        "CLOUD_RUN_URL": front.url,
        "HTTPLIB2_CA_CERTS": str(front.ca),
        "WORKER_ALIVE_FILE": str(home / "alive"),
    }
    command = [sys.executable, "-m", "tests.containers.cloud_run_worker", "--pool", pool, "--type", pool]
    with (
        (home / "worker.log").open("ab") as log,
        subprocess.Popen(command, env=given, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as started,
    ):
        try:
            yield started
        finally:
            stop(started, 60)


async def _deploy(pool: str, name: str) -> UUID:
    await put_pool(POOLS[pool])
    job = JobDeployment("lost", "tests/integration/lost_runs.py:lost", name, "", settings=("LOST",))
    made: Any = await Deployment.build_from_flow(
        flow=lost,
        name=name,
        work_pool_name=pool,
        job_variables=POOLS[pool].job_variables(job, PUSHED, ENV),
        path=POOLS[pool].FLOWS,
        entrypoint=job.entrypoint,
        skip_upload=True,
        load_existing=False,
        ignore_file=os.devnull,
    )
    id: UUID = await made.apply()
    return id


def begun(deployment: UUID) -> UUID:
    """A run whose job is known, on as if its engine had said so."""
    run: UUID = api("create_flow_run_from_deployment", deployment, parameters={"folder": "/tmp"}).id
    on(run, None)
    return run


def on(run: UUID, before: str | None) -> str:
    """The run's job, once it is another than before."""

    def found() -> str | None:
        pid: str | None = read(run).infrastructure_pid
        return pid if pid != before else None

    job: str = until(found, f"run {run} has no job: {state(run)}")
    api("set_flow_run_state", run, Running())
    return job


def there(front: Front, job: str) -> Job | None:
    """The job at the service."""
    return next((found for found in tuple(front.run.jobs.values()) if found.name == job), None)


def container(front: Front, job: str) -> str:
    """Its container, once it runs."""
    execution = until(lambda: (found := there(front, job)) and found.latest, f"{job} is not run")
    found: str = until(
        lambda: docker_says("ps", "--quiet", "--filter", f"label={LABEL}={execution.name}"), f"{job} does not run"
    )
    return found


@pytest.mark.parametrize("pool", ["cloud-run", "cloud-run-v2"])
def test_what_was_lost_while_no_worker_was_there_is_put_right(
    front: Front, url: str, pool: str, tmp_path: Path
) -> None:
    deployment = asyncio.run(_deploy(pool, f"lost-on-{pool}"))
    with worker(tmp_path, url, pool, front) as first:
        killed, deleted, done, fine = (begun(deployment) for _ in range(4))
        jobs = {run: str(read(run).infrastructure_pid) for run in (killed, deleted, done, fine)}
        dies = container(front, jobs[killed])
        first.send_signal(signal.SIGKILL)
        first.wait(60)
    docker_says("kill", dies)
    gone = there(front, jobs[deleted])
    assert gone
    with front.run.lock:
        front.run.delete(gone)
    api("set_flow_run_state", done, Completed(), force=True)
    with worker(tmp_path, url, pool, front):
        for run in (killed, deleted):
            again = on(run, jobs[run])
            assert again != jobs[run]
            assert names(run).count(RESTARTED) == 1
        for run in (killed, done):
            until_deleted(front, jobs[run])
        assert state(done).type is StateType.COMPLETED
        assert there(front, jobs[fine])
        assert state(fine).type is StateType.RUNNING
        for run in (killed, deleted):
            docker_says("kill", container(front, str(read(run).infrastructure_pid)))
            crashed = ended(run)
            assert crashed.type is StateType.CRASHED
            assert "The container exited with an error" in str(crashed.message)


def until_deleted(front: Front, job: str) -> None:
    until(lambda: not there(front, job), f"{job} is still there")


def ended(run: UUID) -> State[Any]:
    found: State[Any] = until(lambda: (s := state(run)).is_final() and s, f"run {run} does not end")
    return found
