"""Start a worker: `python -m workpools.worker --pool docker --type docker`, as Prefect's command line does it.

The types docker, cloud-run and cloud-run-v2 are Prefect's own, put right where they lose a run.
"""

import argparse
import contextlib
from typing import Any

import docker.errors
from docker.models.containers import Container
from prefect.cli.root import app
from prefect_docker.worker import DockerWorker, DockerWorkerJobConfiguration

from workpools.cloud_run_workers import PatientCloudRunWorker, PatientCloudRunWorkerV2

KILLED = 137


class TidyDockerWorker(DockerWorker):  # type: ignore[misc]
    """Takes the place of Prefect's docker worker (the last class of a type wins): reads the exit code, then removes.

    Prefect's own loses it: with auto_remove the engine deletes the container first, so a run that was killed (kill -9,
    out of memory) looks alive for ever; without it, finished containers pile up.
    """

    type = "docker"

    def _watch_container_safe(
        self, container: Container, configuration: DockerWorkerJobConfiguration, created_event: Any
    ) -> Container:
        container = super()._watch_container_safe(container, configuration, created_event)
        try:
            container.reload()
        except docker.errors.NotFound:
            # Removed by force while it ran. Zero would mean that the run ended well.
            container.attrs["State"]["ExitCode"] = KILLED
            return container
        if not configuration.auto_remove:
            with contextlib.suppress(docker.errors.APIError):
                container.remove(v=True)
        return container


OURS = {worker.type for worker in (TidyDockerWorker, PatientCloudRunWorker, PatientCloudRunWorkerV2)}


def main() -> None:
    """Start the worker; the pool must be there."""
    parser = argparse.ArgumentParser(prog="python -m workpools.worker", description=__doc__)
    parser.add_argument("--pool", default="docker", help="work pool (%(default)s)")
    parser.add_argument("--type", default="docker", choices=[*sorted(OURS), "process"], help="its type (%(default)s)")
    parser.add_argument("--name", help="name in Prefect's pages (TYPE-worker)")
    args = parser.parse_args()
    start = ["worker", "start", "--type", args.type, "--install-policy", "never", "--with-healthcheck"]
    app([*start, "--pool", args.pool, "--name", args.name or f"{args.type}-worker"])


if __name__ == "__main__":
    main()
