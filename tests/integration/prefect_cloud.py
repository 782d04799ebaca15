"""Prefect Cloud's front door before a real Prefect server: a workspace's path, and a key on each request."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from standins.google.servers import free_port

WORKSPACE = "/api/accounts/2f0e/workspaces/9c1a"
METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE"]
OWN = ("host", "content-length", "transfer-encoding", "connection", "content-encoding")  # each hop makes its own


class Door:
    """target: the server's API. workspace: the address that it is called by. seen: the paths that were let in."""

    def __init__(self, target: str, key: str, workspace: str) -> None:
        self.target, self.key, self.workspace = target, key, workspace
        self.seen: list[str] = []

    async def answer(self, request: Request) -> Response:
        """The server's answer, for those who have the key."""
        if not self.knows(request.headers):
            return JSONResponse({"detail": "Invalid authentication credentials"}, 401)
        path = request.path_params["path"]
        self.seen.append(path)
        async with httpx.AsyncClient(timeout=60) as client:
            answer = await client.request(
                request.method,
                f"{self.target}/{path}",
                params=request.query_params,
                content=await request.body(),
                headers=kept(request.headers),
            )
        return Response(answer.content, answer.status_code, kept(answer.headers))

    async def take_events(self, socket: WebSocket) -> None:
        """What Prefect's client tells the Cloud, and no other server, by the way."""
        if not self.knows(socket.headers):
            return await socket.close()
        await socket.accept()
        self.seen.append("events/in")
        with suppress(WebSocketDisconnect):
            while True:
                await socket.receive_text()

    def knows(self, headers: Headers) -> bool:
        """Whether the key is there."""
        scheme, _, key = headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and key == self.key


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that are passed on."""
    return {name: value for name, value in headers.items() if name.lower() not in OWN}


@contextmanager
def prefect_cloud(server: str, key: str) -> Iterator[Door]:
    """A workspace whose work is done by the Prefect API at `server`."""
    port = free_port()
    door = Door(server, key, f"http://127.0.0.1:{port}{WORKSPACE}")
    ways = [
        WebSocketRoute(f"{WORKSPACE}/events/in", door.take_events),
        Route(WORKSPACE + "/{path:path}", door.answer, methods=METHODS),
    ]
    running = uvicorn.Server(uvicorn.Config(Starlette(routes=ways), port=port, log_level="warning"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        assert thread.is_alive(), f"port {port} was taken"
        time.sleep(0.05)
    try:
        yield door
    finally:
        running.should_exit = True
        thread.join()
