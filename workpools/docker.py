"""How a job is run on a Docker engine. The block is the one source of truth.

A worker never reads the block: it reads the work pool's template and the deployment's job variables, so both are made
from the block here. `python -m workpools` writes the templates to *.json; a test tells when they drift.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.infrastructure.container import DockerContainer, ImagePullPolicy

from workpools.job import COMMAND, IN_IMAGE, JobDeployment

TYPE = "docker"
TEMPLATE = Path(__file__).with_name("docker.json")
FLOWS = IN_IMAGE
ENVIRONMENT = "local"
NEEDS = ("NETWORK",)
CA_PATH = "/etc/ssl/job-ca.crt"
# The block's names -> the worker's.
POLICIES = {ImagePullPolicy.NEVER: "Never", ImagePullPolicy.IF_NOT_PRESENT: "IfNotPresent"}

# The block has no fields for these; the worker hands them to docker-py as they are.
HARDENING: dict[str, Any] = {
    "read_only": True,
    "tmpfs": {"/tmp": "size=256m"},  # noqa: S108 - of the container; counts towards its memory limit
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "pids_limit": 256,
    "init": True,  # so that a stop reaches Python at once, and no zombie is left
}


def block(image: str, memory_mib: int, network: str, env: Mapping[str, str], ca_file: str = "") -> DockerContainer:
    """The container of one job. `ca_file` is a bundle on the engine's machine to trust in place of the usual one."""
    memory = f"{memory_mib}m"
    return DockerContainer(
        image=image,
        # What is named by its digest can only be one image, wherever it comes from; a tag is looked for here alone.
        image_pull_policy=ImagePullPolicy.IF_NOT_PRESENT if "@sha256:" in image else ImagePullPolicy.NEVER,
        command=COMMAND,
        # Not auto_remove: the engine would take the exit code along, and a killed run would look alive for ever.
        # workpools/worker.py removes the container once it has read the code.
        auto_remove=False,
        networks=[network],
        mem_limit=memory,
        memswap_limit=memory,
        env={**env, **({"SSL_CERT_FILE": CA_PATH} if ca_file else {})},
        volumes=[f"{ca_file}:{CA_PATH}:ro"] if ca_file else [],
    )


def job_block(job: JobDeployment, image: str, env: Mapping[str, str]) -> DockerContainer:
    """The block of one deployment, under these settings."""
    return block(image, job.memory_mib, env["NETWORK"], job.chosen(env), env.get("JOB_CA_FILE", ""))


def template() -> dict[str, Any]:
    """The pool's base job template: the block's values as defaults, the hardening fixed.

    The image has no default worth having: each deployment names its own.
    """
    default = block("longshore/no-image-given:set-by-the-deployment", 1024, "longshore", {})
    made: dict[str, Any] = asyncio.run(default.generate_work_pool_base_job_template())  # type: ignore[no-untyped-call]
    # Fixed, not a variable: no deployment can switch it off.
    made["job_configuration"]["container_create_kwargs"] = HARDENING
    made["job_configuration"]["privileged"] = False
    for name in ("container_create_kwargs", "privileged"):
        del made["variables"]["properties"][name]
    return made


def job_variables(job: JobDeployment, image: str, env: Mapping[str, str]) -> dict[str, Any]:
    """A deployment's job variables: every field of its block under the worker's names."""
    made = job_block(job, image, env)
    assert made.image_pull_policy is not None  # block() sets it
    return {
        "image": made.image,
        "image_pull_policy": POLICIES[made.image_pull_policy],
        "command": " ".join(made.command or []),
        "auto_remove": made.auto_remove,
        "networks": made.networks,
        "mem_limit": made.mem_limit,
        "memswap_limit": made.memswap_limit,
        "env": made.env,
        "volumes": made.volumes,
    }
