"""`python -m control.engine`: the proxy before the Docker engine, and the eye on the worker.

Settings: NETWORK, IMAGE_PREFIX, REGISTRY, JOB_CA_FILE as in `.env`; DOCKER_SOCKET_PATH, the engine's socket;
COMPOSE_PROJECT_NAME, whose worker is restarted when it hangs (nobody's without).
"""

import argparse
import asyncio
import logging
import os
from collections.abc import Mapping

import uvicorn

from control.engine.relay import Relay
from control.engine.supervise import LOG, supervise
from control.policy import Policy


async def serve(env: Mapping[str, str], host: str, port: int) -> None:
    """Serve until told to stop."""
    relay = Relay(Policy.from_env(env), env.get("DOCKER_SOCKET_PATH") or "/var/run/docker.sock")
    LOG.info("the containers of jobs are held to %s", relay.policy)
    project = env.get("COMPOSE_PROJECT_NAME")
    if not project:
        LOG.warning("COMPOSE_PROJECT_NAME is not set: a worker that hangs is not restarted")
    eye = asyncio.create_task(supervise(relay.engine, project)) if project else None
    # To follow a log is a request without end: a stop cuts it off after 2 s.
    config = uvicorn.Config(
        relay,
        host=host,
        port=port,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=2,
    )
    await uvicorn.Server(config).serve()
    if eye:
        eye.cancel()


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m control.engine", description=__doc__)
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (%(default)s)")  # noqa: S104 - a container's
    parser.add_argument("--port", type=int, default=2375, help="port to listen on (%(default)s)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each call
    asyncio.run(serve(os.environ, args.host, args.port))


if __name__ == "__main__":
    main()
