"""Say what `make deploy` would change. Changes nothing."""

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

from prefect import get_client
from prefect.deployments.deployments import Deployment
from prefect.exceptions import ObjectNotFound

from scripts import blocks
from scripts.api import api_settings, need_api
from scripts.deploy import arguments, pool_and_environment, removed
from scripts.deployments import wanted
from scripts.environment import Environment
from scripts.schedules import said
from scripts.settings import UserError
from workpools.job import JobDeployment
from workpools.pools import Pool

Fields = dict[str, Any]
FIELDS = ("description", "version", "tags", "parameters", "path", "entrypoint", "work_pool_name", "work_queue_name")


def flat(values: Mapping[str, Any], prefix: str = "") -> Fields:
    """Nested values under dotted names, so that a change is one line."""
    found: Fields = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def fields(deployment: Any, schedules: list[Any], concurrency: int | None) -> Fields:
    """What is compared of a deployment, wanted or there."""
    found = {name: getattr(deployment, name) for name in FIELDS}
    when = [said(one.schedule) for one in schedules if one.active is not False]
    found |= {"schedule": ", ".join(when) or None, "concurrency": concurrency}
    schema = json.loads(json.dumps(deployment.parameter_openapi_schema, default=lambda made: made.dict()))
    return flat({**found, "job_variables": deployment.job_variables, "parameter_schema": schema})


def changes(old: Fields, new: Fields) -> list[str]:
    """A line per field that differs."""
    names = [name for name in {**new, **old} if old.get(name) != new.get(name)]
    return [f"    {name}: {told(old.get(name))} -> {told(new.get(name))}" for name in names]


def told(value: Any) -> str:
    """A value on a line: JSON without the quotes of a text."""
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)


async def difference(job: JobDeployment, made: Deployment) -> list[str]:
    """Lines on one deployment; none when it is as wanted."""
    async with get_client() as client:
        try:
            there = await client.read_deployment_by_name(job.path)
        except ObjectNotFound:
            return [f"+ deployment {job.path}: {made.job_variables.get('image', 'this checkout')}"]
        queue = await client.read_work_queue_by_name(there.work_queue_name, there.work_pool_name)
    old = fields(there, there.schedules, queue.concurrency_limit)
    found = changes(old, fields(made, made.schedules, job.concurrency))
    return [f"~ deployment {job.path}", *found] if found else []


async def pool_difference(pool: Pool) -> list[str]:
    """Lines on the work pool's template."""
    async with get_client() as client:
        try:
            there = await client.read_work_pool(pool.TYPE)
        except ObjectNotFound:
            return [f"+ work pool {pool.TYPE}"]
    found = changes(flat(there.base_job_template), flat(json.loads(pool.TEMPLATE.read_text())))
    return [f"~ work pool {pool.TYPE}", *found] if found else []


async def diff(pool: Pool, environment: Environment, env: Mapping[str, str], job: str = "") -> list[str]:
    """Lines on everything that a deploy would change: + new, ~ changed, - no longer in the code."""
    with api_settings(env):
        await need_api()
        made = await wanted(pool, environment, env, job)
        lines = []
        for block in await blocks.wanted(env):
            if what := await blocks.changed(block):
                lines.append(f"+ block {block.name}" if what == blocks.NEW else f"~ block {block.name}: {what}")
        lines += await pool_difference(pool)
        for one, deployment in made:
            lines += await difference(one, deployment)
        return lines + [f"- deployment {path}: no longer in the code (PRUNE=1)" for path in await removed()]


def main() -> None:
    """Parse the command line and print."""
    args = arguments("python -m scripts.deploy_diff", __doc__).parse_args()
    try:
        pool, environment = pool_and_environment(args.pool, args.environment)
        print(
            *asyncio.run(diff(pool, environment, environment.settings(), args.job)) or ["nothing would change"],
            sep="\n",
        )
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
