"""The proxy as an ASGI application: asks `calls` about every request, hands on the engine's answer as it comes."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httpx

from control.engine.calls import Refused, read_ask, request
from control.policy import Policy

LOG = logging.getLogger("longshore.engine")
MAX_BODY = 1024**2
OF_A_CONNECTION = {b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"}

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def engine_client(socket: str) -> httpx.AsyncClient:
    """A client of the engine behind a socket. Waits without end: a job's log and its exit take as long as the job."""
    # No connection is kept: one from before a restart of the engine would fail the next call.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    transport = httpx.AsyncHTTPTransport(uds=socket, limits=limits)
    timeout = httpx.Timeout(None, connect=10)
    return httpx.AsyncClient(transport=transport, base_url="http://docker", timeout=timeout, trust_env=False)


class Relay:
    """The ASGI application."""

    def __init__(self, policy: Policy, socket: str) -> None:
        self.policy, self.socket = policy, socket
        self.engine = engine_client(socket)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; what is asked of the engine ends when the caller hangs up."""
        if scope["type"] != "http":
            return
        body = await _body(receive)
        answer = asyncio.create_task(self._answer(scope, body, send))
        gone = asyncio.create_task(_hung_up(receive))
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            answer.cancel()
            gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await answer

    async def _answer(self, scope: Scope, body: bytes | None, send: Send) -> None:
        what = f"{scope['method']} {scope['raw_path'].decode('latin-1'):.200}"
        try:
            if body is None:
                raise Refused(f"a body of more than {MAX_BODY} bytes")
            auth = dict(scope["headers"]).get(b"x-registry-auth", b"").decode("latin-1")
            ask, check = read_ask(scope["method"], scope["raw_path"], scope["query_string"], body, auth)
            ask = await check(self.policy, self._look, ask)
            answer = await self.engine.send(request(self.engine, ask), stream=True)
        except Refused as reason:
            LOG.warning("refused %s: %s", what, reason)
            await _say(send, 403, f"Longshore's engine proxy refuses {what}: {reason}")
        except httpx.HTTPStatusError as error:  # of a look, such as: no such container
            await _say(send, error.response.status_code, _message(error.response))
        except httpx.HTTPError as error:
            LOG.error("%s: no answer from the Docker engine at %s: %s", what, self.socket, error)
            why = (
                f"no answer from the Docker engine at {self.socket} ({error}): does it run, and may the proxy open it?"
            )
            await _say(send, 502, f"Longshore's engine proxy: {why}")
        else:
            await _stream(answer, send, what)

    async def _look(self, path: str) -> dict[str, Any]:
        answer = await self.engine.get(path)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None when it is too long to be a worker's."""
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body"):
            return body


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stream(answer: httpx.Response, send: Send, what: str) -> None:
    """Hand on every piece as it comes. An engine that goes away in the midst leaves the answer visibly cut off."""
    headers = [(name.lower(), value) for name, value in answer.headers.raw if name.lower() not in OF_A_CONNECTION]
    try:
        await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
        async for piece in answer.aiter_raw():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except httpx.HTTPError as error:
        LOG.error("%s: the Docker engine's answer broke off: %s", what, error)
    finally:
        await answer.aclose()


async def _say(send: Send, status: int, message: str) -> None:
    """An answer of the proxy's own, in the form that Docker's clients show."""
    body = json.dumps({"message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text
