"""Start a worker: `python -m workpools.worker --pool docker --type docker`, as Prefect's command line does it.

The types are Prefect's own, put right where they lose a run (workpools/careful.py): the last class of a type wins.
"""

import argparse
import asyncio
import os
import signal
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import docker.errors
from docker.models.containers import Container
from prefect.cli.root import app
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import InfrastructureNotAvailable
from prefect.workers.process import ProcessWorker
from prefect_docker.worker import DockerWorker, DockerWorkerJobConfiguration

from control.labels import RUN, STACK
from longshore.flows.api_retry import retry_while_away
from longshore.flows.engine import OVERDUE
from workpools import alive, docker_runs, ending, process_runs
from workpools.careful import Careful
from workpools.cloud_run_workers import RetryingCloudRunWorker, RetryingCloudRunWorkerV2
from workpools.consent import Consenting
from workpools.reconcile import Job


class TidyDockerWorker(Consenting, Careful, DockerWorker):  # type: ignore[misc]
    """Containers: reads the exit code, then removes.

    Prefect's own loses it: with auto_remove the engine deletes the container first, so a run that was killed (kill -9,
    out of memory) looks alive for ever; without it, finished containers pile up.
    """

    type = "docker"

    def place(self) -> str:
        """The stack. A proxy before the engine tells no id of it, and the worker's own name is new with each container.

        Two machines with a pool in common have stacks of different names (NETWORK), or each takes the other's runs for
        lost.
        """
        return os.environ.get("NETWORK") or "longshore"

    def place_of(self, pid: str) -> str | None:
        engine, _ = super()._parse_infrastructure_pid(pid)
        return None if "://" in engine else engine  # an engine's URL is from Prefect's own worker

    async def find_jobs(self, runs: Sequence[FlowRun]) -> list[Job]:
        return await asyncio.to_thread(self._with_engine, docker_runs.find, self.place(), datetime.now(UTC))

    async def last_lines(self, job: str) -> str:
        return await asyncio.to_thread(self._with_engine, docker_runs.last_lines, job)

    async def remove_job(self, job: str) -> None:
        await asyncio.to_thread(self._with_engine, docker_runs.remove, job)

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: DockerWorkerJobConfiguration, grace_seconds: int = 30
    ) -> None:
        place, container = self.place_of(infrastructure_pid), infrastructure_pid.rpartition(":")[2]
        if place not in (None, self.place()):
            raise InfrastructureNotAvailable(f"Container {container} is of the stack {place}, not {self.place()}.")
        await asyncio.to_thread(self._with_engine, self._stop_one, container, grace_seconds)

    def _stop_one(self, client: Any, container: str, grace_seconds: int) -> None:
        self._stop_container(container, client, grace_seconds)

    def _with_engine(self, act: Any, *given: Any) -> Any:
        client = self._get_client()
        try:
            return act(client, *given)
        finally:
            client.close()

    def _get_infrastructure_pid(self, container_id: str) -> str:
        return f"{self.place()}:{container_id}"

    def _build_container_settings(self, docker_client: Any, configuration: DockerWorkerJobConfiguration) -> Any:
        """Without the label a container would be nobody's, whatever its deployment says."""
        configuration.labels[STACK] = self.place()
        return super()._build_container_settings(docker_client, configuration)

    def _create_and_start_container(self, configuration: DockerWorkerJobConfiguration) -> Any:
        try:
            return super()._create_and_start_container(configuration)
        except docker.errors.APIError as error:
            # Another try helps when the engine was away, not when it does not want to.
            said = f"The container could not be started: {error.explanation or error}"
            self._ends[configuration.labels[RUN]] = said, not error.is_client_error()
            raise

    def _pull_image(self, docker_client: Any, configuration: DockerWorkerJobConfiguration) -> Any:
        """Prefect's own takes a digest for a tag."""
        return docker_client.images.pull(configuration.image)

    def _watch_container_safe(
        self, container: Container, configuration: DockerWorkerJobConfiguration, created_event: Any
    ) -> Container:
        container = super()._watch_container_safe(container, configuration, created_event)
        run = configuration.labels[RUN]
        try:
            container.reload()
        except docker.errors.NotFound:
            # Removed by force while it ran. Zero would mean that the run ended well.
            container.attrs["State"]["ExitCode"] = docker_runs.KILLED
            self._ends[run] = "The container was removed while the run was on.", True
            return container
        why, restart = docker_runs.how_ended(container.attrs)
        self._ends[run] = f"The container ended before the run did: {why}.", restart
        if container.attrs["State"]["ExitCode"]:
            lines = self._with_engine(docker_runs.last_lines, container.id)
            self._ends[run] = f"{self._ends[run][0]} Its last lines:\n{lines}", restart
        if not configuration.auto_remove:
            self._with_engine(docker_runs.remove, container.id)
        return container


class CarefulProcessWorker(Careful, ProcessWorker):
    """Processes of this machine. They end with their worker, and say so."""

    type = "process"
    what = "process"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._numbers: set[int] = set()  # of the processes that are on

    def place(self) -> str:
        return socket.gethostname()

    def place_of(self, pid: str) -> str | None:
        return pid.rpartition(":")[0]

    async def find_jobs(self, runs: Sequence[FlowRun]) -> list[Job]:
        pids = {str(run.id): run.infrastructure_pid for run in runs if run.infrastructure_pid}
        numbers = {run: int(pid.rpartition(":")[2]) for run, pid in pids.items() if self.place_of(pid) == self.place()}
        return await asyncio.to_thread(process_runs.find, {str(run.id) for run in runs}, numbers)

    async def remove_job(self, job: str) -> None:
        process_runs.send(int(job), signal.SIGKILL)

    async def run(self, flow_run: FlowRun, configuration: Any, task_status: Any = None) -> Any:
        noting: Any = _Noting(task_status, self._numbers)
        try:
            result = await super().run(flow_run, configuration, noting)
        finally:
            self._numbers.discard(noting.number)
        code = result.status_code
        self._ends[str(flow_run.id)] = f"The process ended before the run did: exit code {code}.", code != OVERDUE
        return result

    def end_jobs(self, by: float) -> None:
        """They may come to their end, are asked to end, which they report as a crash, and are killed."""
        began = time.monotonic()
        for until, how in ((began + (by - began) / 3, signal.SIGTERM), (by, signal.SIGKILL)):
            while self._numbers and time.monotonic() < until:
                time.sleep(0.1)
            for number in tuple(self._numbers):
                process_runs.send(number, how)


class _Noting:
    """Tells a worker the number of a process that it has started."""

    def __init__(self, status: Any, numbers: set[int]) -> None:
        self.status, self.numbers, self.number = status, numbers, 0

    def started(self, pid: str) -> None:
        self.number = int(pid.rpartition(":")[2])
        self.numbers.add(self.number)
        self.status.started(pid)


OURS = {
    worker.type for worker in (TidyDockerWorker, RetryingCloudRunWorker, RetryingCloudRunWorkerV2, CarefulProcessWorker)
}


def main() -> None:
    """Start the worker; the pool must be there."""
    parser = argparse.ArgumentParser(prog="python -m workpools.worker", description=__doc__)
    parser.add_argument("--pool", default="docker", help="work pool (%(default)s)")
    parser.add_argument("--type", default="docker", choices=sorted(OURS), help="its type (%(default)s)")
    parser.add_argument("--name", help="name in Prefect's pages (TYPE-worker)")
    args = parser.parse_args()
    # As the first process of a container it would be deaf to this until Prefect listens.
    signal.signal(signal.SIGTERM, lambda *_: ending.leave(0))
    Careful.owns_process = True
    retry_while_away(waiting=alive.touch)
    start = ["worker", "start", "--type", args.type, "--install-policy", "never"]
    app([*start, "--pool", args.pool, "--name", args.name or f"{args.type}-worker"])


if __name__ == "__main__":
    main()
