"""Register what Prefect needs to know: the blocks, the work pools, and a deployment for each job."""

import argparse
import asyncio
import importlib
import json
import os
import sys
import warnings
from collections.abc import Mapping
from typing import Any

os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
warnings.filterwarnings("ignore")  # Prefect warns of every class that its next version lacks; we pin this one
from prefect import get_client  # noqa: E402
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate  # noqa: E402
from prefect.client.schemas.schedules import CronSchedule  # noqa: E402
from prefect.deployments.deployments import Deployment  # noqa: E402
from prefect.exceptions import ObjectNotFound  # noqa: E402
from prefect.flows import load_flow_from_entrypoint  # noqa: E402
from prefect.settings import PREFECT_API_URL, temporary_settings  # noqa: E402

from scripts import blocks  # noqa: E402
from scripts.settings import ROOT, UserError, settings  # noqa: E402
from workpools import docker  # noqa: E402
from workpools.job import JobDeployment  # noqa: E402

FLOWS = "/opt/prefect/flows"  # where every image keeps the code


def deployments() -> list[JobDeployment]:
    """The DEPLOYMENTS of every jobs/*/deployment.py."""
    modules = sorted(path.parent.name for path in (ROOT / "jobs").glob("*/deployment.py"))
    return [one for name in modules for one in importlib.import_module(f"jobs.{name}.deployment").DEPLOYMENTS]


async def put_pool(name: str, kind: str, template: Mapping[str, Any]) -> str:
    """Create a work pool, or give the one that is there this template; what was done."""
    async with get_client() as client:
        try:
            there = await client.read_work_pool(name)
        except ObjectNotFound:
            wanted = {"name": name, "type": kind, "base_job_template": template}
            await client.create_work_pool(WorkPoolCreate.parse_obj(wanted))
            return "created"
        if there.type != kind:
            raise UserError(f"work pool {name} is of type {there.type}, not {kind}: delete it or rename ours")
        await client.update_work_pool(name, WorkPoolUpdate.parse_obj({"base_job_template": template}))
        return "updated"


async def build(job: JobDeployment, env: Mapping[str, str]) -> Deployment:
    """A job's deployment. Every field is set, so that a redeploy means what the code says and nothing else."""
    block = docker.job_block(job, env)
    schedules = [CronSchedule(cron=job.schedule.cron, timezone=job.schedule.timezone)] if job.schedule else []
    return await Deployment.build_from_flow(
        # From the source when the job's packages are not installed here, as in the image that `make up` deploys with.
        flow=load_flow_from_entrypoint(str(ROOT / job.entrypoint)),
        name=job.name,
        description=job.description,
        version=env["TAG"],
        tags=[job.job],
        parameters=dict(job.parameters),
        schedules=schedules,
        infrastructure=block,
        work_pool_name=job.pool,
        work_queue_name=job.flow,
        job_variables=docker.job_variables(block),
        path=FLOWS,
        entrypoint=job.entrypoint,
        enforce_parameter_schema=True,
        skip_upload=True,
        load_existing=False,
        ignore_file=os.devnull,  # else Prefect makes a .prefectignore, which a read-only container can't
    )


async def deploy(env: Mapping[str, str]) -> None:
    """Register everything at PREFECT_API_URL; each step says what it did."""
    with temporary_settings({PREFECT_API_URL: env["PREFECT_API_URL"]}):
        await need_api(env["PREFECT_API_URL"])
        print(*await blocks.register(env), sep="\n")
        done = await put_pool("docker", "docker", json.loads(docker.TEMPLATE.read_text()))
        print(f"work pool docker: {done}")
        for job in deployments():
            deployment = await build(job, env)
            await deployment.infrastructure.save(f"{job.flow}-{job.name}", overwrite=True)
            await deployment.apply(work_queue_concurrency=job.concurrency)
            when = f"{job.schedule.cron} {job.schedule.timezone}" if job.schedule else "on demand"
            print(f"deployment {job.path}: {deployment.job_variables['image']}, {when}")


async def need_api(url: str) -> None:
    """Fail with advice where no Prefect server answers."""
    try:
        async with get_client() as client:
            problem: Exception | None = await client.api_healthcheck()
    except Exception as error:  # whatever the client makes of a wrong address
        problem = error
    if problem:
        raise UserError(f"no Prefect API at {url} ({type(problem).__name__}). Start one with `make up`.")


def main() -> None:
    """Parse the command line and deploy."""
    parser = argparse.ArgumentParser(prog="python -m scripts.deploy", description=__doc__)
    parser.epilog = "Where and with what: the settings of .env.example."
    parser.parse_args()
    try:
        asyncio.run(deploy(settings()))
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
