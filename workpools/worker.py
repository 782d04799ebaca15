"""The docker worker, which reads a container's exit code before the container is gone.

Prefect's own loses it: with auto_remove the engine deletes the container first, so a run that was killed (kill -9, out
of memory) looks alive for ever; without it, finished containers pile up. This one waits, reads the code, then removes.
`python -m workpools.worker --pool docker`
"""

import argparse
import contextlib
from typing import Any

import docker.errors
from docker.models.containers import Container
from prefect.cli.root import app
from prefect_docker.worker import DockerWorker, DockerWorkerJobConfiguration

KILLED = 137


class TidyDockerWorker(DockerWorker):  # type: ignore[misc]
    """Takes the place of Prefect's docker worker: the last class of a type wins."""

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


def main() -> None:
    """Start the worker the way Prefect's command line does; the pool must be there."""
    parser = argparse.ArgumentParser(prog="python -m workpools.worker", description=__doc__)
    parser.add_argument("--pool", default="docker", help="work pool (%(default)s)")
    parser.add_argument("--name", default="docker-worker", help="name in Prefect's pages (%(default)s)")
    args = parser.parse_args()
    start = ["worker", "start", "--type", "docker", "--install-policy", "never", "--with-healthcheck"]
    app([*start, "--pool", args.pool, "--name", args.name])


if __name__ == "__main__":
    main()
