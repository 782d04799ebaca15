"""Restart a worker that Docker finds unhealthy: a hung process never ends, and Docker restarts only the dead."""

import asyncio
import json
import logging

import httpx

LOG = logging.getLogger("longshore.engine")
EVERY_SECONDS = 15
GRACE_SECONDS = 10  # for a worker that still hears; one that is frozen is killed then


async def restart_unhealthy(engine: httpx.AsyncClient, project: str, service: str = "worker") -> list[str]:
    """Restart the containers of this service of compose that are unhealthy; their names."""
    labels = [f"com.docker.compose.project={project}", f"com.docker.compose.service={service}"]
    filters = json.dumps({"label": labels, "health": ["unhealthy"]})
    listed = await engine.get("/containers/json", params={"filters": filters}, timeout=60)
    listed.raise_for_status()
    names = []
    for container in listed.json():
        name = container["Names"][0].lstrip("/")
        LOG.warning("%s is unhealthy (%s): restarting it", name, container["Status"])
        url = f"/containers/{container['Id']}/restart"
        done = await engine.post(url, params={"t": GRACE_SECONDS}, timeout=GRACE_SECONDS + 60)
        done.raise_for_status()
        names.append(name)
    return names


async def supervise(engine: httpx.AsyncClient, project: str) -> None:
    """Look for ever; an engine that is away is asked again."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            await restart_unhealthy(engine, project)
        except httpx.HTTPError as error:
            LOG.warning("the worker's health cannot be seen to: %s", error)
