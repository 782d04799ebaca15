"""What a worker will do is what the block says: for each deployment, in each work pool."""

import asyncio
import copy
import json
import re
import shlex
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.workers.process import ProcessJobConfiguration
from prefect_docker.worker import DockerWorkerJobConfiguration
from prefect_gcp.workers.cloud_run import CloudRunWorkerJobConfiguration
from prefect_gcp.workers.cloud_run_v2 import CloudRunWorkerJobV2Configuration

from control import labels
from control.policy import COMMAND
from scripts.deployments import deployments
from scripts.images import image_name
from workpools import cloud_run, cloud_run_v2, docker, process
from workpools.job import REACHES, Cron, JobDeployment
from workpools.pools import POOLS, Pool

LOCAL = {"IMAGE_PREFIX": "longshore", "TAG": "0123456789ab", "NETWORK": "somewhere", "TAXI_URL": "http://here"}
CLOUD = {
    "GCP_PROJECT": "my-project",
    "GCP_REGION": "europe-west2",
    "JOB_SERVICE_ACCOUNT": "jobs@my-project.iam.gserviceaccount.com",
    "VPC_CONNECTOR": "projects/my-project/locations/europe-west2/connectors/db",
    "PREFECT_PROFILE_SECRET": "prefect-profile",
    "TAXI_URL": "http://here",
}
BARE = {**CLOUD, "VPC_CONNECTOR": "", "PREFECT_PROFILE_SECRET": "", "TAXI_URL": ""}
DIGEST = "europe-west2-docker.pkg.dev/my-project/longshore/a-job@sha256:" + 64 * "a"
CONFIGURATIONS = {
    "docker": DockerWorkerJobConfiguration,
    "cloud-run": CloudRunWorkerJobConfiguration,
    "cloud-run-v2": CloudRunWorkerJobV2Configuration,
    "process": ProcessJobConfiguration,
}
each_job = pytest.mark.parametrize("job", deployments(), ids=lambda job: job.path)
each_cloud = pytest.mark.parametrize("env", [CLOUD, BARE], ids=["all set", "little set"])


@pytest.fixture(autouse=True)
def own_credentials(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the worker's machine has of its own."""
    from scripts.gcp_key import local_key

    key = tmp_path / "own.json"
    key.write_text(json.dumps(local_key("http://127.0.0.1:9/token", "my-project")))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    monkeypatch.setenv("PREFECT_API_KEY", "pnu_s3cret")


def resolve(pool: Pool, job: JobDeployment, image: str, env: dict[str, str]) -> Any:
    """The configuration of a run, as the worker makes it of the template and the job variables."""
    template = json.loads(pool.TEMPLATE.read_text())
    values = json.loads(json.dumps(pool.job_variables(job, image, env)))  # as the server sends them
    make = CONFIGURATIONS[pool.TYPE].from_template_and_values
    found = asyncio.run(make(copy.deepcopy(template), values, client=object()))
    found.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="swift-otter", work_pool_id=None))
    return found


def environment(listed: list[dict[str, str]]) -> dict[str, str]:
    """Variables of a job body by name, without those that Prefect adds for every run."""
    return {one["name"]: one["value"] for one in listed if not one["name"].startswith("PREFECT")}


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_the_template_under_git_is_the_one_made_from_the_block(pool: Pool) -> None:
    assert json.loads(pool.TEMPLATE.read_text()) == pool.template(), "run: python -m workpools"


@each_job
def test_the_name_of_its_block_is_one_that_prefect_takes(job: JobDeployment) -> None:
    assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", job.block)


@each_job
@pytest.mark.parametrize("image", ["", DIGEST], ids=["built here", "pushed"])
@pytest.mark.parametrize("more", [{"JOB_CA_FILE": "/etc/ca.crt"}, {"TAXI_URL": ""}], ids=["all set", "little set"])
def test_docker(job: JobDeployment, image: str, more: dict[str, str]) -> None:
    env = {**LOCAL, **more}
    image = image or image_name(job.job, env)
    block = docker.job_block(job, image, env)
    resolved = resolve(POOLS["docker"], job, image, env)
    assert resolved.image == block.image == image
    assert resolved.networks == docker.networks(job, env)
    assert resolved.image_pull_policy == ("IfNotPresent" if image == DIGEST else "Never")
    assert block.image_pull_policy is not None
    assert block.image_pull_policy.value == ("IF_NOT_PRESENT" if image == DIGEST else "NEVER")
    assert resolved.command.split() == block.command == COMMAND
    for field in ("auto_remove", "networks", "network_mode", "volumes", "mem_limit", "memswap_limit"):
        assert getattr(resolved, field) == getattr(block, field), field
    assert {name: resolved.env[name] for name in block.env} == block.env
    assert {name: resolved.labels[name] for name in block.labels} == block.labels
    assert resolved.env["JOB_TIMEOUT_SECONDS"] == resolved.labels[labels.TIMEOUT] == str(job.timeout_seconds)
    assert resolved.mem_limit == resolved.memswap_limit == f"{job.memory_mib}m"
    assert resolved.privileged is False
    assert resolved.container_create_kwargs == hardening(job.scratch_mib)


def hardening(scratch_mib: int) -> dict[str, Any]:
    return {**docker.HARDENING, "tmpfs": {"/tmp": f"size={scratch_mib}m"}}


@pytest.mark.parametrize(
    ("job", "more", "wanted"),
    [
        ("web-to-postgres", {}, ["api", "web", "warehouse"]),
        ("web-to-postgres", {"WAREHOUSE_HOST": "db.example.org"}, ["api", "web"]),
        ("gcs-to-bigquery", {}, ["api", "cloud"]),
        ("gcs-to-bigquery", {"STORAGE_EMULATOR_HOST": ""}, ["api", "web"]),
        ("gcs-to-bigquery", {"PREFECT_API_URL": "https://api.prefect.cloud/api"}, ["api", "web", "cloud"]),
        ("backfill", {}, ["api"]),
    ],
)
def test_a_job_is_on_the_networks_of_what_it_reaches_and_no_others(
    job: str, more: dict[str, str], wanted: list[str]
) -> None:
    env = {**LOCAL, "WAREHOUSE_HOST": "postgres", "STORAGE_EMULATOR_HOST": "http://gcs:9023", **more}
    found = next(one for one in deployments() if job in (one.job, one.flow) and job == one.flow)
    assert docker.networks(found, env) == [f"somewhere-{name}" for name in wanted]


@each_job
def test_what_a_job_reaches_is_something_there_is(job: JobDeployment) -> None:
    assert set(job.reaches) <= set(REACHES)
    assert set(job.starts) <= {one.path for one in deployments()}


def test_a_deployment_cannot_switch_the_hardening_off() -> None:
    template: dict[str, Any] = json.loads(docker.TEMPLATE.read_text())
    values = {"privileged": True, "container_create_kwargs": {"read_only": False}, "command": "sh", "auto_remove": True}
    resolved = asyncio.run(DockerWorkerJobConfiguration.from_template_and_values(template, values, client=object()))
    assert (resolved.privileged, resolved.auto_remove) == (False, False)
    assert resolved.command is not None
    assert resolved.command.split() == COMMAND
    assert resolved.container_create_kwargs == hardening(256)


@each_job
@each_cloud
def test_cloud_run(job: JobDeployment, env: dict[str, str]) -> None:
    block = cloud_run.job_block(job, DIGEST, env)
    resolved = resolve(POOLS["cloud-run"], job, DIGEST, env)
    execution = resolved.job_body["spec"]["template"]
    task = execution["spec"]["template"]["spec"]
    (container,) = task["containers"]
    assert container["image"] == block.image == DIGEST
    assert container["command"] == block.command == COMMAND
    assert container["resources"]["limits"] == {"cpu": block._cpu_as_k8s_quantity(), "memory": block.memory_string}
    assert environment(container["env"]) == block.env
    assert (resolved.region, resolved.project) == (block.region, block.credentials.project)
    assert task["timeoutSeconds"] == resolved.timeout == block.timeout == job.timeout_seconds
    assert task["maxRetries"] == block.max_retries == job.max_retries == 0
    assert task["serviceAccountName"] == env["JOB_SERVICE_ACCOUNT"]
    annotations = execution["metadata"]["annotations"]
    assert annotations.get("run.googleapis.com/vpc-access-connector") == block.vpc_connector_name
    assert None not in annotations.values()
    assert resolved.keep_job is block.keep_job is False


@each_job
@each_cloud
def test_cloud_run_v2(job: JobDeployment, env: dict[str, str]) -> None:
    block = cloud_run_v2.job_block(job, DIGEST, env)
    resolved = resolve(POOLS["cloud-run-v2"], job, DIGEST, env)
    task = resolved.job_body["template"]["template"]
    (container,) = task["containers"]
    assert container["image"] == block.image == DIGEST
    assert container["command"] == block.command == COMMAND
    assert container["resources"]["limits"] == {"cpu": block._cpu_as_k8s_quantity(), "memory": block.memory_string}
    assert environment(container["env"]) == block.env
    assert (resolved.region, resolved.project) == (block.region, block.credentials.project)
    assert task["timeout"] == f"{job.timeout_seconds}s"
    assert task["maxRetries"] == block.max_retries == job.max_retries == 0
    assert task["serviceAccount"] == env["JOB_SERVICE_ACCOUNT"]
    assert task.get("vpcAccess", {}).get("connector") == block.vpc_connector_name
    assert resolved.keep_job is block.keep_job is False


@each_job
@pytest.mark.parametrize("pool", ["cloud-run", "cloud-run-v2"])
def test_prefects_key_is_a_file_in_cloud_run_and_in_no_variable(job: JobDeployment, pool: str) -> None:
    body = resolve(POOLS[pool], job, DIGEST, CLOUD).job_body
    assert "s3cret" not in json.dumps(body)
    version = pool == "cloud-run-v2"
    task = body["template"]["template"] if version else body["spec"]["template"]["spec"]["template"]["spec"]
    (volume,), (container,) = task["volumes"], task["containers"]
    assert volume["secret"]["secret" if version else "secretName"] == "prefect-profile"
    assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": cloud_run.SECRETS}]
    profiles = {one["name"]: one["value"] for one in container["env"]}["PREFECT_PROFILES_PATH"]
    assert profiles == f"{cloud_run.SECRETS}/{volume['secret']['items'][0]['path']}"


@each_job
def test_process(job: JobDeployment) -> None:
    block = process.job_block(job, "", LOCAL)
    resolved = resolve(POOLS["process"], job, "", LOCAL)
    assert str(resolved.working_dir) == str(block.working_dir) == process.FLOWS
    assert {name: resolved.env[name] for name in block.env} == block.env
    assert shlex.split(resolved.command)[1:] == COMMAND[1:]


def test_what_cloud_run_cannot_run_is_said_with_what_can() -> None:
    job = deployments()[0]
    with pytest.raises(ValueError, match="cpu=1 allows 4096 MiB on Cloud Run, not 5000; cpu=2 allows it"):
        cloud_run.job_block(replace(job, memory_mib=5000), DIGEST, CLOUD)
    with pytest.raises(ValueError, match="32768 is the most"):
        cloud_run.job_block(replace(job, memory_mib=50000), DIGEST, CLOUD)
    with pytest.raises(ValueError, match="cpu=3; Cloud Run has 1, 2, 4, 6, 8"):
        cloud_run.job_block(replace(job, cpu=3), DIGEST, CLOUD)
    longer = replace(job, timeout_seconds=7200)
    with pytest.raises(ValueError, match="ends a run after 3600; POOL=cloud-run-v2"):
        cloud_run.job_block(longer, DIGEST, CLOUD)
    assert cloud_run_v2.job_variables(longer, DIGEST, CLOUD)["timeout"] == 7200
    with pytest.raises(ValueError, match="86400"):
        cloud_run_v2.job_block(replace(job, timeout_seconds=86401), DIGEST, CLOUD)


def test_a_small_job_gets_the_least_that_cloud_run_has() -> None:
    assert cloud_run.job_block(replace(deployments()[0], memory_mib=100), DIGEST, CLOUD).memory_string == "512Mi"


def test_web_to_postgres_runs_on_the_first_of_the_month_in_new_york() -> None:
    (job,) = [job for job in deployments() if job.job == "web-to-postgres"]
    assert (job.path, job.concurrency) == ("web-to-postgres/monthly", 1)
    assert job.schedule == Cron("0 5 1 * *", "America/New_York")
