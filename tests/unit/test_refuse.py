"""What a worker does not start: whatever is not this stack's, however the run asks for it."""

import asyncio
import copy
import json
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect_docker.worker import DockerWorkerJobConfiguration

from control.policy import Policy
from scripts.deployments import deployments
from scripts.images import image_name
from workpools import docker
from workpools.job import JobDeployment
from workpools.refuse import refusals

SETTINGS = {"IMAGE_PREFIX": "longshore", "TAG": "0123456789ab", "NETWORK": "somewhere", "JOB_CA_FILE": "/etc/ca.crt"}
POLICY = Policy.from_env(SETTINGS)
TEMPLATE = json.loads(docker.TEMPLATE.read_text())
TAXIS = next(one for one in deployments() if one.job == "web-to-postgres")
each_job = pytest.mark.parametrize("job", deployments(), ids=lambda job: job.path)


def asked(
    job: JobDeployment, run: dict[str, Any], template: dict[str, Any] = TEMPLATE, deployed: dict[str, Any] | None = None
) -> list[str]:
    """What is refused of a run with these job variables, merged and resolved as a worker does it."""
    deployment = docker.job_variables(job, image_name(job.job, SETTINGS), SETTINGS) | (deployed or {})
    merged = {**deployment, **run, "env": {**deployment["env"], **run.get("env", {})}}
    make = DockerWorkerJobConfiguration.from_template_and_values
    made = asyncio.run(make(copy.deepcopy(template), copy.deepcopy(merged), client=object()))
    made.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="swift-otter", work_pool_id=None))
    return refusals(POLICY, deployment, run, made)


@each_job
def test_every_job_of_ours_is_started(job: JobDeployment) -> None:
    assert asked(job, {}) == []


def test_a_run_may_have_other_memory_scratch_space_and_settings_of_its_job() -> None:
    assert asked(TAXIS, {"mem_limit": "2048m", "scratch_mib": 1024, "env": {"TAXI_URL": "http://there"}}) == []


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({"image": "debian:12"}, "image debian:12"),
        ({"image": "longshore/orchestration:0123456789ab"}, "its deployment's is longshore/web-to-postgres"),
        ({"volumes": ["/:/host"]}, "volume /:/host"),
        ({"volumes": ["/var/run/docker.sock:/var/run/docker.sock"]}, "volume /var/run/docker.sock"),
        ({"command": "sh -c id"}, "command: a run may change"),
        ({"networks": ["somewhere-records"]}, "network somewhere-records"),
        ({"networks": []}, "network none"),
        ({"labels": {"longshore.blocks": "secret/all"}}, "labels: a run may change"),
        ({"mem_limit": "64g"}, "memory 64g"),
        ({"mem_limit": "1024"}, "memory 1024"),
        ({"scratch_mib": 100_000}, "tmpfs"),
        ({"env": {"PREFECT_API_KEY": "other"}}, "env PREFECT_API_KEY: not a setting of this job; it has TAXI_URL"),
        ({"env": {"LD_PRELOAD": "/tmp/x.so"}}, "env LD_PRELOAD"),
        ({"privileged": True}, "privileged: a run may change"),
    ],
    ids=str,
)
def test_a_run_that_asks_for_more_is_refused_by_name(run: dict[str, Any], said: str) -> None:
    assert said in "\n".join(asked(TAXIS, run))


OPEN = {
    "image": "{{ image }}",
    "networks": "{{ networks }}",
    "volumes": "{{ volumes }}",
    "labels": "{{ labels }}",
    "mem_limit": "{{ mem_limit }}",
    "memswap_limit": "{{ mem_limit }}",
    "command": docker.FIXED["command"],
    "container_create_kwargs": {**docker.HARDENING, "tmpfs": {"/tmp": "size=256m"}},
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"privileged": True}, "privileged"),
        ({"network_mode": "host", "networks": None}, "network_mode"),
        ({"command": "sh"}, "command sh"),
        ({"container_create_kwargs": {**OPEN["container_create_kwargs"], "user": "0"}}, "user 0"),
        ({"container_create_kwargs": {**OPEN["container_create_kwargs"], "cap_add": ["SYS_ADMIN"]}}, "cap_add"),
        ({"container_create_kwargs": {**OPEN["container_create_kwargs"], "pid_mode": "host"}}, "pid_mode host"),
        ({"container_create_kwargs": {**OPEN["container_create_kwargs"], "read_only": False}}, "read_only False"),
        ({"container_create_kwargs": {}}, "cap_drop None"),
        ({"container_create_kwargs": {**OPEN["container_create_kwargs"], "tmpfs": {"/": "size=64m"}}}, "tmpfs"),
        ({"memswap_limit": "64g"}, "memory"),
    ],
    ids=str,
)
def test_a_pool_whose_template_was_opened_is_no_way_round(change: dict[str, Any], said: str) -> None:
    assert asked(TAXIS, {}, {**TEMPLATE, "job_configuration": OPEN}) == []
    wanted = {name: value for name, value in {**OPEN, **change}.items() if value is not None}
    assert said in "\n".join(asked(TAXIS, {}, {**TEMPLATE, "job_configuration": wanted}))


def test_a_deployment_of_another_image_or_stack_is_refused() -> None:
    assert "not one of longshore/" in "\n".join(asked(TAXIS, {}, deployed={"image": "evil/web-to-postgres:1"}))
    assert "with a tag or a digest" in "\n".join(asked(TAXIS, {}, deployed={"image": "longshore/web-to-postgres"}))
    assert "this stack is somewhere" in "\n".join(asked(TAXIS, {}, deployed={"labels": {}}))
