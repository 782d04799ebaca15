"""What the docker worker will do is what the block says, for each deployment."""

import asyncio
import copy
import json
from typing import Any

import pytest
from prefect_docker.worker import DockerWorkerJobConfiguration

from scripts.deploy import deployments
from workpools import docker
from workpools.job import JobDeployment

ENV = {
    "IMAGE_PREFIX": "registry/longshore",
    "TAG": "0123456789ab",
    "NETWORK": "somewhere",
    "TAXI_URL": "http://here",
    "JOB_CA_FILE": "/etc/ca.crt",
}


def named(job: JobDeployment) -> str:
    """Test id."""
    return job.path


def test_the_template_under_git_is_the_one_made_from_the_block() -> None:
    assert json.loads(docker.TEMPLATE.read_text()) == docker.template(), "run: python -m workpools.docker"


@pytest.mark.parametrize("job", deployments(), ids=named)
@pytest.mark.parametrize("env", [ENV, {**ENV, "TAXI_URL": "", "JOB_CA_FILE": ""}], ids=["all set", "little set"])
def test_the_worker_resolves_the_block(job: JobDeployment, env: dict[str, str]) -> None:
    template: dict[str, Any] = copy.deepcopy(json.loads(docker.TEMPLATE.read_text()))
    block = docker.job_block(job, env)
    resolved = asyncio.run(
        DockerWorkerJobConfiguration.from_template_and_values(template, docker.job_variables(block), client=object())
    )
    policy = {"NEVER": "Never"}[block.image_pull_policy.value] if block.image_pull_policy else None
    assert resolved.image == block.image == f"registry/longshore/{job.job}:0123456789ab"
    assert resolved.image_pull_policy == policy == "Never"
    assert resolved.command.split() == block.command == ["python", "-m", "prefect.engine"]
    for field in ("auto_remove", "networks", "network_mode", "env", "volumes", "mem_limit", "memswap_limit"):
        assert getattr(resolved, field) == getattr(block, field), field
    assert resolved.mem_limit == f"{job.memory_mib}m"
    assert resolved.privileged is False
    assert resolved.container_create_kwargs == docker.HARDENING


def test_a_deployment_cannot_switch_the_hardening_off() -> None:
    template: dict[str, Any] = copy.deepcopy(json.loads(docker.TEMPLATE.read_text()))
    values = {"privileged": True, "container_create_kwargs": {"read_only": False}}
    resolved = asyncio.run(DockerWorkerJobConfiguration.from_template_and_values(template, values, client=object()))
    assert resolved.privileged is False
    assert resolved.container_create_kwargs == docker.HARDENING


def test_web_to_postgres_runs_on_the_first_of_the_month_in_new_york() -> None:
    (job,) = [job for job in deployments() if job.job == "web-to-postgres"]
    assert (job.path, job.concurrency) == ("web-to-postgres/monthly", 1)
    assert job.schedule is not None
    assert (job.schedule.cron, job.schedule.timezone) == ("0 5 1 * *", "America/New_York")
