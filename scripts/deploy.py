"""Register what Prefect needs to know: the blocks, the work pool, and a deployment for each job."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping

from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

from scripts import blocks
from scripts.api import api_settings, every, need_api
from scripts.deployments import OURS, deployments, wanted
from scripts.environment import Environment, read_environment
from scripts.settings import UserError, settings
from workpools.pools import POOLS, Pool


async def put_pool(pool: Pool) -> str:
    """Create the work pool, or give the one that is there this template; what was done."""
    template = json.loads(pool.TEMPLATE.read_text())
    async with get_client() as client:
        try:
            there = await client.read_work_pool(pool.TYPE)
        except ObjectNotFound:
            new = {"name": pool.TYPE, "type": pool.TYPE, "base_job_template": template}
            await client.create_work_pool(WorkPoolCreate.parse_obj(new))
            return "created"
        if there.type != pool.TYPE:
            raise UserError(f"work pool {pool.TYPE} is of type {there.type}, not {pool.TYPE}: delete it or rename it")
        if there.base_job_template == template:
            return "unchanged"
        await client.update_work_pool(pool.TYPE, WorkPoolUpdate.parse_obj({"base_job_template": template}))
        return "updated"


async def deploy(
    pool: Pool, environment: Environment, env: Mapping[str, str], job: str = "", prune: bool = False
) -> None:
    """Register everything at PREFECT_API_URL; each step says what it did."""
    with api_settings(env):
        await need_api()
        made = await wanted(pool, environment, env, job)  # before anything is changed: it may be wrong
        print(*await blocks.register(env), sep="\n")
        print(f"work pool {pool.TYPE}: {await put_pool(pool)}")
        for one, deployment in made:
            await deployment.infrastructure.save(one.block, overwrite=True)
            await deployment.apply(work_queue_concurrency=one.concurrency)
            lacks = ", ".join(one.lacks(env))
            when = f"not scheduled, {lacks} is empty" if lacks else one.schedule or "on demand"
            what = deployment.job_variables.get("image", "this checkout")
            print(f"deployment {one.path}: {what}, {when}")
        for path, gone in (await removed()).items():
            if prune:
                await delete(gone)
            print(f"deployment {path}: no longer in the code, {'deleted' if prune else 'PRUNE=1 deletes it'}")


async def removed() -> dict[str, DeploymentResponse]:
    """Deployments made here, by flow/deployment, that the code has no more."""
    async with get_client() as client:
        there = [one for one in await every(client.read_deployments) if OURS in one.tags]
        flows = {one.flow_id: (await client.read_flow(one.flow_id)).name for one in there}
    known = {job.path for job in deployments()}
    paths = {f"{flows[one.flow_id]}/{one.name}": one for one in there}
    return {path: one for path, one in sorted(paths.items()) if path not in known}


async def delete(gone: DeploymentResponse) -> None:
    """Delete a deployment with its scheduled runs and its work queue. Its runs that were stay on record.

    So does its infrastructure block: with it Prefect would delete all runs that it was used for.
    """
    async with get_client() as client:
        await client.delete_deployment(gone.id)
        queue = (gone.work_pool_name, gone.work_queue_name)
        if queue not in [(one.work_pool_name, one.work_queue_name) for one in await every(client.read_deployments)]:
            found = await client.read_work_queue_by_name(gone.work_queue_name, gone.work_pool_name)
            await client.delete_work_queue_by_id(found.id)


def pool_and_environment(pool: str, environment: str = "") -> tuple[Pool, Environment]:
    """A pool by name and an environment by name; where none is named, the pool's."""
    if pool not in POOLS:
        raise UserError(f"POOL={pool}: there are {', '.join(POOLS)}")
    return POOLS[pool], read_environment(environment or settings().get("ENVIRONMENT") or POOLS[pool].ENVIRONMENT)


def arguments(prog: str, description: str | None) -> argparse.ArgumentParser:
    """The command line that deploy and deploy_diff share."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--pool", default="docker", help=f"{', '.join(POOLS)} (%(default)s)")
    parser.add_argument("--job", default="", help="JOB, FLOW or FLOW/NAME (default: all)")
    parser.add_argument("--environment", default="", help="environments/NAME.toml (default: by the pool)")
    parser.epilog = "Where and with what: .env.example, environments/*.toml."
    return parser


def main() -> None:
    """Parse the command line and deploy."""
    parser = arguments("python -m scripts.deploy", __doc__)
    parser.add_argument("--prune", action="store_true", help="delete deployments that the code has no more")
    args = parser.parse_args()
    try:
        pool, environment = pool_and_environment(args.pool, args.environment)
        asyncio.run(deploy(pool, environment, environment.settings(), args.job, args.prune))
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
