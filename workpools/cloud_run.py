"""How a job is run on Google Cloud Run, by the first version of its API. The block is the one source of truth.

The block has no field for the service account; the worker takes it as a job variable. Its credentials are those of the
machine that the worker runs on, the job's are its service account: no key goes anywhere.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect_gcp import GcpCredentials
from prefect_gcp.cloud_run import CloudRunJob

from control.policy import COMMAND
from workpools.job import IN_IMAGE, JobDeployment

TYPE = "cloud-run"
TEMPLATE = Path(__file__).with_name("cloud-run.json")
FLOWS = IN_IMAGE
ENVIRONMENT = "cloud"
NEEDS = ("GCP_PROJECT", "GCP_REGION", "JOB_SERVICE_ACCOUNT", "IMAGES_FILE")
LONGEST = 3600  # seconds, of the block and of its worker
SECRETS, PROFILES = "/secrets/prefect", "profiles.toml"
NO_IMAGE = "longshore/no-image-given/set-by-the-deployment"
# CPUs -> least and most memory in MiB: cloud.google.com/run/docs/configuring/jobs/memory-limits
MEMORY = {1: (512, 4096), 2: (512, 8192), 4: (2048, 16384), 6: (4096, 24576), 8: (4096, 32768)}


def memory(job: JobDeployment) -> int:
    """MiB: what the job asks for, and no less than Cloud Run gives. ValueError: more than it gives."""
    if job.cpu not in MEMORY:
        raise ValueError(f"{job.path}: cpu={job.cpu}; Cloud Run has {', '.join(map(str, MEMORY))}")
    least, most = MEMORY[job.cpu]
    if job.memory_mib > most:
        enough = [str(cpu) for cpu, (_, limit) in MEMORY.items() if limit >= job.memory_mib]
        hint = f"cpu={enough[0]} allows it" if enough else f"{MEMORY[8][1]} is the most that it has"
        raise ValueError(f"{job.path}: cpu={job.cpu} allows {most} MiB on Cloud Run, not {job.memory_mib}; {hint}")
    return max(least, job.memory_mib)


def block(job: JobDeployment, image: str, env: Mapping[str, str], timeout: int) -> CloudRunJob:
    """The Cloud Run job of one deployment."""
    return CloudRunJob(
        image=image,
        region=env["GCP_REGION"],
        # The worker's own, whatever machine that is. Not validated: this machine may have none.
        credentials=GcpCredentials.construct(project=env["GCP_PROJECT"]),
        command=COMMAND,
        cpu=job.cpu,
        memory=memory(job),
        memory_unit="Mi",
        vpc_connector_name=env.get("VPC_CONNECTOR") or None,
        env=job.chosen(env),
        keep_job=False,
        timeout=timeout,
        max_retries=job.max_retries,
    )


def job_block(job: JobDeployment, image: str, env: Mapping[str, str]) -> CloudRunJob:
    """The block of one deployment, under these settings. ValueError: Cloud Run cannot run such a job."""
    if job.timeout_seconds > LONGEST:
        raise ValueError(
            f"{job.path}: timeout_seconds={job.timeout_seconds}, but pool {TYPE} ends a run after {LONGEST}; "
            "POOL=cloud-run-v2 allows 86400"
        )
    return block(job, image, env, job.timeout_seconds)


def template() -> dict[str, Any]:
    """The pool's base job template. The image, the region and the account have no defaults: deployments set them."""
    credentials = GcpCredentials.construct()
    credentials._block_document_id = UUID(int=0)  # or it makes no template; taken out below
    default = CloudRunJob(image=NO_IMAGE, region="set-by-the-deployment", credentials=credentials)
    made: dict[str, Any] = asyncio.run(default.generate_work_pool_base_job_template())
    variables = made["variables"]["properties"]
    del variables["credentials"]["default"]
    # Not a variable of the worker. By default Cloud Run would start a failed container three times more.
    task = made["job_configuration"]["job_body"]["spec"]["template"]["spec"]["template"]["spec"]
    task["maxRetries"] = "{{ max_retries }}"
    variables["max_retries"] = {"title": "Max Retries", "type": "integer", "default": 0, "minimum": 0, "maximum": 10}
    take_secrets(task, variables)
    return made


def take_secrets(task: dict[str, Any], variables: dict[str, Any]) -> None:
    """Let deployments mount secrets, and take away variables that the worker hands on, in either version's template."""
    task["volumes"], task["containers"][0]["volumeMounts"] = "{{ volumes }}", "{{ volume_mounts }}"
    for name, title in (("volumes", "Volumes"), ("volume_mounts", "Volume Mounts")):
        variables[name] = {"title": title, "type": "array", "items": {"type": "object"}, "default": []}
    # Null takes a variable away. The server checks deployments against this, and would refuse it.
    variables["env"]["additionalProperties"] = {"type": ["string", "null"]}


def job_variables(job: JobDeployment, image: str, env: Mapping[str, str]) -> dict[str, Any]:
    """A deployment's job variables: every field of its block under the worker's names, its account and its secret."""
    made = variables(job_block(job, image, env), env["JOB_SERVICE_ACCOUNT"])
    if secret := env.get("PREFECT_PROFILE_SECRET"):
        mount_profile(made, {"secretName": secret, "items": [{"key": "latest", "path": PROFILES}]})
    return made


def mount_profile(made: dict[str, Any], secret: dict[str, Any]) -> None:
    """Prefect's API key as a file, in place of the variable that all can read who may see the job."""
    made["env"] |= {"PREFECT_API_KEY": None, "PREFECT_PROFILES_PATH": f"{SECRETS}/{PROFILES}"}
    made["volumes"] = [{"name": "prefect", "secret": secret}]
    made["volume_mounts"] = [{"name": "prefect", "mountPath": SECRETS}]


def variables(made: CloudRunJob, service_account: str) -> dict[str, Any]:
    """The same of any such block. What is not set is left out: the API takes no null."""
    found = {
        "image": made.image,
        "region": made.region,
        "credentials": {"project": made.credentials.project},
        "command": " ".join(made.command or []),
        "cpu": f"{made.cpu}000m",
        "memory": made.memory_string,
        "vpc_connector_name": made.vpc_connector_name,
        "service_account_name": service_account,
        "env": dict(made.env),
        "keep_job": made.keep_job,
        "timeout": made.timeout,
        "max_retries": made.max_retries,
    }
    return {name: value for name, value in found.items() if value is not None}
