"""The deployments that this checkout wants, as Prefect objects."""

import importlib
import os
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
warnings.filterwarnings("ignore")  # Prefect warns of every class that its next version lacks; we pin this one
from prefect.deployments.deployments import Deployment  # noqa: E402
from prefect.flows import Flow, load_flow_from_entrypoint  # noqa: E402

from scripts.environment import Environment, read_images  # noqa: E402
from scripts.images import image_name  # noqa: E402
from scripts.schedules import as_prefect  # noqa: E402
from scripts.settings import ROOT, UserError  # noqa: E402
from workpools.job import JobDeployment  # noqa: E402
from workpools.pools import Pool  # noqa: E402

OURS = "longshore"  # tag of every deployment made here: what is pruned has it


def deployments() -> list[JobDeployment]:
    """The DEPLOYMENTS of every jobs/*/deployment.py."""
    modules = sorted(path.parent.name for path in (ROOT / "jobs").glob("*/deployment.py"))
    return [one for name in modules for one in importlib.import_module(f"jobs.{name}.deployment").DEPLOYMENTS]


def chosen(jobs: Iterable[JobDeployment], job: str) -> list[JobDeployment]:
    """Those of a job, given as JOB, FLOW or FLOW/NAME; all for ''."""
    jobs = list(jobs)
    found = [one for one in jobs if job in ("", one.job, one.flow, one.path)]
    if not found:
        raise UserError(f"JOB={job}: no such job. There are: {', '.join(sorted(one.path for one in jobs))}")
    return found


async def wanted(
    pool: Pool, environment: Environment, env: Mapping[str, str], job: str = ""
) -> list[tuple[JobDeployment, Deployment]]:
    """The deployments of a job (all for ''), as this environment has them in this pool."""
    if missing := [name for name in pool.NEEDS if not env.get(name)]:
        raise UserError(
            f"pool {pool.TYPE} needs {', '.join(missing)}: as a variable, in {environment.file}, or by `make outputs`,"
            " which asks Terraform"
        )
    revision, images = read_images(env)
    return [
        (one, await build(one, pool, env, image_of(one, env, images), revision))
        for one in chosen(environment.changed(deployments()), job)
    ]


def image_of(job: JobDeployment, env: Mapping[str, str], images: Mapping[str, str]) -> str:
    """The pushed image of a job, by digest; where none were pushed, this machine's, by tag."""
    if images and job.job not in images:
        raise UserError(f"{env['IMAGES_FILE']}: no image of {job.job}. Push it: make push")
    return images.get(job.job) or image_name(job.job, env)


async def build(job: JobDeployment, pool: Pool, env: Mapping[str, str], image: str, revision: str) -> Deployment:
    """A job's deployment. Every field is set, so that a redeploy means what the code says and nothing else."""
    try:
        block, variables = pool.job_block(job, image, env), pool.job_variables(job, image, env)
    except ValueError as error:
        raise UserError(str(error)) from error
    # From the source when the job's packages are not installed here, as in the image that `make up` deploys with.
    flow: Flow[Any, Any] = load_flow_from_entrypoint(str(ROOT / job.entrypoint))
    if unknown := [name for name in job.parameters if name not in flow.parameters.properties]:
        known = ", ".join(flow.parameters.properties)
        raise UserError(f"{job.path}: the flow has no parameter {unknown[0]!r}; there are: {known}")
    schedules = [as_prefect(job.schedule)] if job.schedule and not job.lacks(env) else []
    return await Deployment.build_from_flow(
        flow=flow,
        name=job.name,
        description=job.description,
        version=revision,
        tags=[OURS, job.job],
        parameters=dict(job.parameters),
        schedules=schedules,
        infrastructure=block,
        work_pool_name=pool.TYPE,
        work_queue_name=job.flow,
        job_variables=variables,
        path=pool.FLOWS,
        entrypoint=job.entrypoint,
        enforce_parameter_schema=True,
        skip_upload=True,
        load_existing=False,
        ignore_file=os.devnull,  # else Prefect makes a .prefectignore, which a read-only container can't
    )
