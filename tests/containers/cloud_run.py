"""Cloud Run on this machine: the stand-in, a worker in a container that finds it by its name, and runs through both."""

import asyncio
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, Log, State

from scripts.api import api_settings
from scripts.docker import docker, docker_says
from scripts.gcp_key import local_key, token_uri
from scripts.images import jobs
from scripts.stack import STAND_INS
from scripts.stack import container as postgres
from standins.google.cloud_run.server import Front, cloud_run
from standins.google.cloud_run.service import CloudRun
from tests.containers.conftest import inspect
from tests.containers.runs import make, sql, wait_for
from tests.unit.terraform_files import RESOURCES

PROJECT, REGION = "local", "us-central1"
REGISTRY = f"{REGION}-docker.pkg.dev/{PROJECT}/longshore"
PROFILE_SECRET = "longshore-prefect-profile"
HELD = "relation = 'load_ledger'::regclass AND mode = 'ShareLock' AND granted"
NETWORK = "longshore-test-google"
SERVICES = ("prefect", "postgres", "gcs", "bigquery", "sources")
OURS = ("python", "-m", "workpools.worker")
PREFECTS_OWN = ("prefect", "worker", "start", "--install-policy", "never")


def digests(images: Mapping[str, str]) -> dict[str, str]:
    """Each job's image by a digest, as after `make push`: here the local image's own id takes its place."""
    return {job: f"{REGISTRY}/{job}@{inspect(images[job])['Id']}" for job in jobs()}


def deploy_env(stack: Mapping[str, str], images: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What `make push` and Terraform would have left; the jobs read and write this machine's emulators."""
    file = folder / "pushed-images.json"
    pushed = {"revision": stack["TAG"], "registry": REGISTRY, "images": digests(images)}
    file.write_text(json.dumps(pushed))
    return {
        **stack,
        "PREFECT_API_URL": api_url(stack),
        "PREFECT_API_KEY": stack["PREFECT_PASSWORD"],
        "IMAGES_FILE": str(file),
        "REGISTRY": REGISTRY,
        "GCP_PROJECT": PROJECT,
        "GCP_REGION": REGION,
        "JOB_SERVICE_ACCOUNT": f"longshore-jobs@{PROJECT}.iam.gserviceaccount.com",
        "PREFECT_PROFILE_SECRET": PROFILE_SECRET,
        "WAREHOUSE_HOST": "postgres",
        "TAXI_URL": STAND_INS["TAXI_URL"],
    }


def api_url(stack: Mapping[str, str]) -> str:
    """Prefect's API as this machine sees it."""
    return f"http://127.0.0.1:{stack['PREFECT_PORT']}/api"


@contextmanager
def stand_in(
    stack: Mapping[str, str], images: Mapping[str, str], folder: Path, secrets: Mapping[str, bytes]
) -> Iterator[Front]:
    """The stand-in, reached on a network by the names of the real service.

    A worker may do there what Terraform lets it, and no more.
    """
    with beside(stack) as network, serving(network, images, folder, secrets) as front:
        yield front


@contextmanager
def beside(stack: Mapping[str, str]) -> Iterator[str]:
    """The network of Cloud Run's containers, on which they find the stack's services by name."""
    docker("network", "create", NETWORK, quiet=True)
    found = {name: postgres(dict(stack), name) for name in SERVICES}
    try:
        for name, one in found.items():
            docker("network", "connect", "--alias", name, NETWORK, one)
        yield NETWORK
    finally:
        for one in found.values():
            docker_says("network", "disconnect", "--force", NETWORK, one)
        docker_says("network", "rm", NETWORK)


@contextmanager
def serving(network: str, images: Mapping[str, str], folder: Path, secrets: Mapping[str, bytes]) -> Iterator[Front]:
    """The stand-in on this network."""
    gateway = json.loads(docker_says("network", "inspect", network))[0]["IPAM"]["Config"][0]["Gateway"]
    run = CloudRun(PROJECT, network, {pushed: images[job] for job, pushed in digests(images).items()}, secrets)
    with cloud_run(run, folder, gateway) as front:
        front.may = frozenset(RESOURCES["google_project_iam_custom_role.job_starter"]["permissions"])
        names = [f"--network-alias={name}.googleapis.com" for name in (f"{REGION}-run", "run")]
        relay = ["python", "-m", "standins.google.relay", "443", gateway, front.url.rpartition(":")[2]]
        with container("--network", network, *names, images["emulators"], *relay):
            yield front


@contextmanager
def container(*args: str) -> Iterator[str]:
    """A container, removed at the end; its id."""
    made = docker_says("run", "--detach", "--no-healthcheck", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", *args)
    assert made, f"docker run {args}"
    try:
        yield made
    finally:
        docker_says("rm", "--force", "--volumes", made)


@dataclass
class Place:
    """Where runs are tried. env: as it is after `make push`. pushed: image by digest, by job."""

    env: dict[str, str]
    images: Mapping[str, str]
    pushed: Mapping[str, str]
    folder: Path
    front: Front

    def deploy(self, pool: str) -> None:
        """`make deploy`."""
        done = make(self.env, "deploy", f"POOL={pool}")
        assert done.returncode == 0, done.stdout + done.stderr

    @contextmanager
    def worker(self, kind: str, command: tuple[str, ...], **env: str) -> Iterator[str]:
        """A worker of this type in a container, with an identity of its own, and ready; the container's id."""
        key = self.folder / "worker-key.json"
        if not key.exists():
            key.write_text(json.dumps(local_key(token_uri(self.env["STORAGE_EMULATOR_HOST"]), PROJECT)))
        given = {
            "PREFECT_API_URL": "http://prefect:4200/api",
            "PREFECT_API_KEY": self.env["PREFECT_API_KEY"],
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "GOOGLE_APPLICATION_CREDENTIALS": "/run/key.json",
            "HTTPLIB2_CA_CERTS": "/run/ca.crt",
            **env,
        }
        options = [f"--env={name}={value}" for name, value in given.items()]
        options += ["--network", NETWORK, f"--volume={key}:/run/key.json:ro"]
        options += [f"--volume={self.front.ca}:/run/ca.crt:ro", self.images["orchestration"]]
        with container(*options, *command, "--pool", kind, "--type", kind) as made:
            wait_for(lambda: "started!" in logs(made), 90)
            yield made

    def clear(self) -> None:
        """Forget what was asked and run, and stop what runs."""
        with self.front.run.lock:
            for job in list(self.front.run.jobs.values()):
                self.front.run.delete(job)
        self.front.run.close()
        self.front.run.history.clear()
        self.front.run.faults.clear()
        self.front.requests.clear()

    def lock(self) -> None:
        """Let runs into Postgres read the ledger and send their rows, but not commit them."""
        psql = ["exec", "--detach", postgres(self.env, "postgres"), "psql", "-X", "-U", "postgres", "-d", "warehouse"]
        docker_says(*psql, "-c", "LOCK TABLE load_ledger IN SHARE MODE; SELECT pg_sleep(600)")
        wait_for(lambda: sql(self.env, f"SELECT count(*) FROM pg_locks WHERE {HELD}") == "1")

    def waits(self) -> bool:
        """Whether a run waits there."""
        asked = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'longshore'"
        )
        return sql(self.env, asked) != "0"

    def unlock(self) -> None:
        """Let them go on."""
        sql(self.env, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LOCK%'")

    def prefect(self, method: str, *given: Any, **named: Any) -> Any:
        """Call a method of Prefect's client."""

        async def call() -> Any:
            async with get_client() as client:
                return await getattr(client, method)(*given, **named)

        with api_settings(self.env):
            return asyncio.run(call())

    def begin(self, path: str, parameters: dict[str, Any], **job_variables: Any) -> UUID:
        """Start a run of a deployment, with job variables of its own; its id."""
        deployment = self.prefect("read_deployment_by_name", path)
        named = {"parameters": parameters, "job_variables": job_variables}
        run: FlowRun = self.prefect("create_flow_run_from_deployment", deployment.id, **named)
        return run.id

    def ended(self, run: UUID, seconds: float = 180) -> State[Any]:
        """The run's last state, once it has come to it."""
        found: list[State[Any]] = []

        def final() -> bool:
            found.append(self.prefect("read_flow_run", run).state)
            return found[-1].is_final()

        wait_for(final, seconds)
        return found[-1]

    def said(self, run: UUID) -> list[Log]:
        """The run's log."""
        lines: list[Log] = self.prefect("read_logs", LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run])))
        return lines

    def says(self, run: UUID, text: str) -> bool:
        """Whether the run's log has this text; lines come a moment after what they tell."""
        return any(text in line.message for line in self.said(run))


@contextmanager
def place(
    stack: Mapping[str, str], images: Mapping[str, str], folder: Path, secrets: Mapping[str, bytes]
) -> Iterator[Place]:
    """The stand-in beside a stack."""
    with stand_in(stack, images, folder, secrets) as front:
        yield Place(deploy_env(stack, images, folder), images, digests(images), folder, front)


def logs(container: str) -> str:
    """All that a container printed."""
    done = subprocess.run(["docker", "logs", container], capture_output=True, text=True)
    return done.stdout + done.stderr
