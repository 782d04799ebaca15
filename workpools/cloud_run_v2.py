"""How a job is run on Google Cloud Run, by the second version of its API: for up to a day.

There is no block for it: all but the timeout comes from the first version's, so both pools mean the same.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect_gcp.cloud_run import CloudRunJob
from prefect_gcp.workers.cloud_run_v2 import CloudRunWorkerV2

from workpools import cloud_run
from workpools.job import IN_IMAGE, JobDeployment

TYPE = "cloud-run-v2"
TEMPLATE = Path(__file__).with_name("cloud-run-v2.json")
FLOWS = IN_IMAGE
ENVIRONMENT = cloud_run.ENVIRONMENT
NEEDS = cloud_run.NEEDS
LONGEST = 86400


def job_block(job: JobDeployment, image: str, env: Mapping[str, str]) -> CloudRunJob:
    """The block of one deployment; its timeout ends at what the block can hold. ValueError: as the first version."""
    if job.timeout_seconds > LONGEST:
        raise ValueError(f"{job.path}: timeout_seconds={job.timeout_seconds}; Cloud Run ends a run after {LONGEST}")
    return cloud_run.block(job, image, env, min(job.timeout_seconds, cloud_run.LONGEST))


def template() -> dict[str, Any]:
    """The pool's base job template."""
    made: dict[str, Any] = CloudRunWorkerV2.get_default_base_job_template()
    variables = made["variables"]["properties"]
    variables["image"]["default"] = cloud_run.NO_IMAGE
    variables["region"]["default"] = "set-by-the-deployment"
    variables["launch_stage"]["default"] = "GA"
    cloud_run.take_secrets(made["job_configuration"]["job_body"]["template"]["template"], variables)
    return made


def job_variables(job: JobDeployment, image: str, env: Mapping[str, str]) -> dict[str, Any]:
    """A deployment's job variables. Prefect's API key comes as a file where its secret is known."""
    made = cloud_run.variables(job_block(job, image, env), env["JOB_SERVICE_ACCOUNT"])
    made["timeout"] = job.timeout_seconds
    if secret := env.get("PREFECT_PROFILE_SECRET"):
        cloud_run.mount_profile(made, {"secret": secret, "items": [{"version": "latest", "path": cloud_run.PROFILES}]})
    return made
