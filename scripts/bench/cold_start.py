"""Seconds from the creation of a job's container to the first line of its flow, as a worker starts it.

Needs a Docker engine and the images of `make images`; brings a Prefect server of its own for the measurement.
"""

import argparse
import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from prefect import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from scripts.deploy import put_pool
from scripts.deployments import build, deployments
from scripts.docker import docker, docker_says, image_exists, need_engine
from scripts.images import image_name
from scripts.settings import UserError, settings
from workpools.docker import HARDENING, job_block
from workpools.job import JobDeployment
from workpools.pools import POOLS

NAME = "longshore-cold-start"
LOCKED = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
# The engine's own line comes before the flow is imported; the first task's or the flow's comes after.
FIRST_LINE = re.compile(r"(Created (sub|task|flow) ?run|Flow run '[^']+' - (?!Downloading|Created))")


@contextmanager
def server(image: str) -> Iterator[str]:
    """A Prefect server on a free port; its API's address."""
    docker("network", "create", NAME, quiet=True)
    try:
        run = ["run", "--detach", "--name", NAME, "--network", NAME, "--publish", "127.0.0.1::4200", *LOCKED]
        # Without the guard, which costs an answer nothing that could be measured.
        bare = ["prefect", "server", "start", "--host", "0.0.0.0"]  # noqa: S104 - of a network of its own
        docker(*run, "--env", "PREFECT_UI_ENABLED=false", image, *bare, quiet=True)
        port = docker_says("port", NAME, "4200").rsplit(":", 1)[-1]
        for _ in range(240):
            if docker_says("inspect", "--format", "{{.State.Health.Status}}", NAME) == "healthy":
                break
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        docker_says("rm", "--force", "--volumes", NAME)
        docker_says("network", "rm", NAME)


async def create_run(job: JobDeployment, env: dict[str, str]) -> str:
    """Register the deployment and a run of it that ends at once; the run's id."""
    await put_pool(POOLS["docker"])
    deployment_id = await (await build(job, POOLS["docker"], env, image_name(job.job, env), env["TAG"])).apply()
    parameters = {"url": "http://127.0.0.1:9/none.csv", "table": "none"}
    async with get_client() as client:
        return str((await client.create_flow_run_from_deployment(deployment_id, parameters=parameters)).id)


def start(job: JobDeployment, env: dict[str, str], run_id: str) -> float:
    """Start the container as the worker does; seconds until the flow's first line."""
    block = job_block(job, image_name(job.job, env), env)
    limits = [f"--memory={block.mem_limit}", f"--pids-limit={HARDENING['pids_limit']}", "--init"]
    variables = {"PREFECT__FLOW_RUN_ID": run_id, "PREFECT_API_URL": f"http://{NAME}:4200/api"}
    variables["WAREHOUSE_URL"] = "postgresql+psycopg2://nobody@127.0.0.1:9/none"
    flags = [part for key, value in variables.items() for part in ("--env", f"{key}={value}")]
    run = [
        "docker",
        "run",
        "--detach",
        "--network",
        NAME,
        *LOCKED,
        *limits,
        *flags,
        block.image,
        *(block.command or []),
    ]
    container = subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip()
    try:
        created = datetime.fromisoformat(docker_says("inspect", "--format", "{{.Created}}", container)[:26] + "+00:00")
        for _ in range(600):
            logs = subprocess.run(["docker", "logs", "--timestamps", container], capture_output=True, text=True)
            for line in (logs.stdout + logs.stderr).splitlines():
                if FIRST_LINE.search(line):
                    return (datetime.fromisoformat(line[:26] + "+00:00") - created).total_seconds()
            time.sleep(0.1)
        raise UserError(f"the flow printed nothing within a minute:\n{logs.stdout}{logs.stderr}")
    finally:
        docker_says("rm", "--force", "--volumes", container)


def cold_start(name: str = "web-to-postgres", times: int = 3) -> float:
    """The best of several starts, in seconds: what the machine can do when nothing else disturbs it."""
    need_engine()
    env = settings()
    images = [image_name(image, env) for image in (name, "orchestration")]
    if missing := [image for image in images if not image_exists(image)]:
        raise UserError(f"no image {missing[0]}: run `make images`")
    job = next(job for job in deployments() if job.job == name)
    with server(images[1]) as url, temporary_settings({PREFECT_API_URL: url}):
        return min(start(job, env, asyncio.run(create_run(job, env))) for _ in range(times))


def main() -> None:
    """Print the seconds."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.cold_start", description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="starts, of which the best counts (%(default)s)")
    args = parser.parse_args()
    try:
        print(f"container created -> first line of the flow: {cold_start(times=args.times):.1f} s")
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
