"""How a job is run on a Docker engine. The block is the one source of truth.

A worker never reads the block: it reads the work pool's template and the deployment's job variables, so both are made
from the block here. `python -m workpools` writes the templates to *.json; a test tells when they drift.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prefect.infrastructure.container import DockerContainer, ImagePullPolicy

from control import labels
from control.policy import CA_PATH, COMMAND, MIB, USER
from control.policy import SCRATCH as SCRATCH_BYTES
from workpools.job import IN_IMAGE, REACHES, JobDeployment

TYPE = "docker"
TEMPLATE = Path(__file__).with_name("docker.json")
FLOWS = IN_IMAGE
ENVIRONMENT = "local"
NEEDS = ("NETWORK",)
# The block's names -> the worker's.
POLICIES = {ImagePullPolicy.NEVER: "Never", ImagePullPolicy.IF_NOT_PRESENT: "IfNotPresent"}

# What else a container of a job is made with; the worker hands it to docker-py as it is. No deployment can change it.
HARDENING: dict[str, Any] = {
    "user": USER,
    "read_only": True,
    "tmpfs": {"/tmp": "size={{ scratch_mib }}m"},  # noqa: S108 - of the container; counts towards its memory limit
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "pids_limit": 256,
    "init": True,  # so that a stop reaches Python at once, and no zombie is left
}
FIXED: dict[str, Any] = {
    "command": " ".join(COMMAND),
    "auto_remove": False,
    "stream_output": True,
    "memswap_limit": "{{ mem_limit }}",
    "privileged": False,
    "container_create_kwargs": HARDENING,
}
ABSENT = ("name", "registry_credentials", "network_mode")  # what a job's container never has
SCRATCH = {
    "title": "Scratch space",
    "description": "Size of /tmp in MiB. It is memory, and counts towards the memory limit.",
    "type": "integer",
    "minimum": SCRATCH_BYTES[0] // MIB,
    "maximum": SCRATCH_BYTES[1] // MIB,
    "default": 256,
}


def networks(job: JobDeployment, env: Mapping[str, str]) -> list[str]:
    """The networks of a job's containers, by need: Prefect's API, then those of what it reaches.

    What is not of this stack (a warehouse elsewhere, the real Google Cloud, Prefect Cloud) is reached over the web.
    """
    api = urlsplit(env.get("PREFECT_API_URL", "")).hostname
    own = {"warehouse": env.get("WAREHOUSE_HOST") == "postgres", "cloud": bool(env.get("STORAGE_EMULATOR_HOST"))}
    wanted = {name if own.get(name) else "web" for name in job.reaches}
    if api not in (None, "prefect", "127.0.0.1", "localhost"):
        wanted.add("web")
    return [f"{env['NETWORK']}-{name}" for name in ("api", *REACHES) if name == "api" or name in wanted]


def labels_of(job: JobDeployment, env: Mapping[str, str]) -> dict[str, str]:
    """What worker and reconciler must know of a container, whoever looks at it."""
    return {
        labels.STACK: env["NETWORK"],
        labels.TIMEOUT: str(job.timeout_seconds),
        labels.RESTARTS: str(job.restarts),
        labels.BLOCKS: " ".join(job.blocks),
        labels.STARTS: " ".join(job.starts),
        labels.SETTINGS: " ".join(job.settings),
    }


def job_block(job: JobDeployment, image: str, env: Mapping[str, str]) -> DockerContainer:
    """The container of one deployment, under these settings."""
    ca_file = env.get("JOB_CA_FILE", "")
    memory = f"{job.memory_mib}m"
    limit = {"JOB_TIMEOUT_SECONDS": str(job.timeout_seconds)}
    return DockerContainer(
        image=image,
        # What is named by its digest can only be one image, wherever it comes from; a tag is looked for here alone.
        image_pull_policy=ImagePullPolicy.IF_NOT_PRESENT if "@sha256:" in image else ImagePullPolicy.NEVER,
        command=COMMAND,
        # Not auto_remove: the engine would take the exit code along, and a killed run would look alive for ever.
        # workpools/worker.py removes the container once it has read the code.
        auto_remove=False,
        networks=networks(job, env),
        mem_limit=memory,
        memswap_limit=memory,
        labels=labels_of(job, env),
        env={**job.chosen(env), **limit, **({"SSL_CERT_FILE": CA_PATH} if ca_file else {})},
        volumes=[f"{ca_file}:{CA_PATH}:ro"] if ca_file else [],
    )


def template() -> dict[str, Any]:
    """The pool's base job template: what a deployment says of its container is a variable, all else is fixed.

    What of those a single run may change is said in workpools/refuse.py.
    """
    nothing = JobDeployment(job="", entrypoint="", name="", description="")
    default = job_block(nothing, "longshore/no-image-given:set-by-the-deployment", {"NETWORK": "longshore"})
    made: dict[str, Any] = asyncio.run(default.generate_work_pool_base_job_template())  # type: ignore[no-untyped-call]
    made["job_configuration"] |= FIXED
    variables = made["variables"]
    for name in (*FIXED, *ABSENT):
        variables["properties"].pop(name, None)
    for name in ABSENT:
        del made["job_configuration"][name]
    variables["properties"]["scratch_mib"] = SCRATCH
    variables["description"] = "What a deployment says of its containers."
    del variables["definitions"]  # of the credentials that are no variable
    return made


def job_variables(job: JobDeployment, image: str, env: Mapping[str, str]) -> dict[str, Any]:
    """A deployment's job variables: every field of its block that is one, under the worker's names."""
    made = job_block(job, image, env)
    assert made.image_pull_policy is not None  # block() sets it
    return {
        "image": made.image,
        "image_pull_policy": POLICIES[made.image_pull_policy],
        "networks": made.networks,
        "mem_limit": made.mem_limit,
        "scratch_mib": job.scratch_mib,
        "labels": made.labels,
        "env": made.env,
        "volumes": made.volumes,
    }
