"""`python -m control.engine`: the proxy on port 2375, and the eye on the worker."""

import asyncio
import logging
import os
from collections.abc import Mapping

import uvicorn

from control.engine.relay import Relay
from control.engine.supervise import LOG, supervise
from control.policy import Policy

PORT = 2375


async def serve(env: Mapping[str, str], host: str = "0.0.0.0", port: int = PORT) -> None:  # noqa: S104 - its own network
    """Serve until told to stop.

    NETWORK, IMAGE_PREFIX, REGISTRY, JOB_CA_FILE: as in `.env`. DOCKER_SOCKET_PATH: the engine's socket.
    COMPOSE_PROJECT_NAME: whose worker is kept alive; nobody's without.
    """
    relay = Relay(Policy.from_env(env), env.get("DOCKER_SOCKET_PATH") or "/var/run/docker.sock")
    project = env.get("COMPOSE_PROJECT_NAME")
    if not project:
        LOG.warning("COMPOSE_PROJECT_NAME is not set: a worker that hangs is not restarted")
    eye = asyncio.create_task(supervise(relay.engine, project)) if project else None
    LOG.info("job containers are held to %s", relay.policy)
    # Following a log is a request that does not end: a stop cuts it off.
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


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each call
    asyncio.run(serve(os.environ))
