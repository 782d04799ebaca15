"""A Prefect server with every job deployed to it, and workers that run them as processes of this machine."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL, temporary_settings

from scripts.deploy import put_pool
from scripts.deployments import build, deployments
from scripts.settings import ROOT
from standins.google.servers import free_port, stop, wait_for
from workpools.pools import POOLS

POOL = "process"


@contextmanager
def process(home: Path, name: str, *words: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """`prefect WORDS…`, stopped at the end; what it prints is in home/NAME.log."""
    given = {**os.environ, "PREFECT_HOME": str(home), "PYTHONPATH": str(ROOT), **env}
    command = [str(Path(sys.executable).with_name("prefect")), *words]
    with (
        (home / f"{name}.log").open("ab") as log,
        subprocess.Popen(command, env=given, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as started,
    ):
        try:
            yield started
        finally:
            stop(started)


@contextmanager
def bare_server(home: Path) -> Iterator[str]:
    """The server, with nothing on it; its API's URL, which Prefect's clients here use meanwhile."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    start = ["server", "start", "--port", str(port)]
    # A cancelled run's children are looked for every 20 s by default.
    settings = {
        "PREFECT_API_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    with process(home, "server", *start, **settings) as started:
        wait_for(f"{url}/health", started)
        with temporary_settings({PREFECT_API_URL: url}):
            yield url


@contextmanager
def server(home: Path) -> Iterator[str]:
    """The same, with every job deployed."""
    with bare_server(home) as url:
        asyncio.run(deploy())
        yield url


@contextmanager
def worker(home: Path, url: str, env: Mapping[str, str]) -> Iterator[None]:
    """A worker of all queues. Its runs get our environment, and env."""
    settings = {"PREFECT_API_URL": url, "PREFECT_WORKER_QUERY_SECONDS": "0.5", "PREFECT_LOGGING_TO_API_ENABLED": "true"}
    with process(home, "worker", "worker", "start", "--pool", POOL, "--type", "process", **settings, **env):
        yield


async def deploy() -> None:
    """Every job as `make deploy` does it, but to run as a process of this machine."""
    await put_pool(POOLS[POOL])
    for job in deployments():
        made = await build(job, POOLS[POOL], {}, image="", revision="none")
        await made.infrastructure.save(job.block)
        await made.apply(work_queue_concurrency=job.concurrency)


def api(method: str, *given: Any, **named: Any) -> Any:
    """Call a method of Prefect's client."""

    async def call() -> Any:
        async with get_client() as client:
            return await getattr(client, method)(*given, **named)

    return asyncio.run(call())


def children(run: Any) -> list[FlowRun]:
    """The runs that a flow run has started, in the order of their starts."""
    of = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run]))
    found: list[FlowRun] = api("read_flow_runs", flow_run_filter=of, sort=FlowRunSort.START_TIME_ASC)
    return found
