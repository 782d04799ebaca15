"""Bear with a Prefect API that is away for a while: its server or its database restarts, or the network is down.

Prefect's clients give up at once when nobody listens, and a run whose engine cannot report hangs or is lost.
"""

import json
import os
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator
from functools import wraps
from typing import Any
from uuid import uuid4

import anyio
import httpx
from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient
from prefect.client.schemas.actions import FlowRunCreate
from prefect.logging import get_logger

AWAY = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError)
FAULTS = {500, 502, 503, 504}
FIRST, LONGEST = 0.25, 5.0  # seconds between two tries
HICCUP = 2.0  # seconds away that are not worth a line in the log
FAULTS_OF_A_READY_SERVER = 4  # in a row; what it still answers then is meant for this request
EPHEMERAL = "ephemeral-prefect"  # the host of an API within this process
MADE_BEFORE = "This run has already made this state transition."  # what Prefect's server says

log = get_logger("api")


class ServerAway(httpx.ConnectError):
    """The API was away for longer than it is asked again. Prefect's clients do not try this error again."""


class ApiRetry:
    """When the API went away, as all clients of this process see it: they wait together, and say so once."""

    def __init__(self, seconds: float, waiting: Callable[[], None], exhausted: Callable[[str], None]) -> None:
        self.seconds, self.waiting, self.exhausted = seconds, waiting, exhausted
        self._since: float | None = None
        self._told = False
        self._lock = threading.Lock()

    @property
    def away(self) -> bool:
        """Whether the last that was heard of the API is that it is away."""
        return self._since is not None

    def failed(self, request: httpx.Request, why: str, began: float) -> None:
        """Note that a request failed; `began` is when it was first tried. Raises ServerAway when that is over."""
        server = f"The Prefect server at {request.url.netloc.decode().rpartition('@')[2]}"
        with self._lock:
            now = time.monotonic()
            self._since = self._since or now
            over = now - min(self._since, began) >= self.seconds
            tell = not self._told and now - self._since >= HICCUP
            self._told |= tell
        if over:
            message = f"{server} was away for {self.seconds:g} s: {why}."
            self.exhausted(message)
            raise ServerAway(message, request=request)
        if tell:
            log.warning("%s is away (%s). It is asked again for up to %g s.", server, why, self.seconds)
        self.waiting()

    def answered(self) -> None:
        """Note that the API is there."""
        with self._lock:
            since, self._since = self._since, None
            told, self._told = self._told, False
        if since is not None and told:
            log.warning("The Prefect server is back after %.0f s.", time.monotonic() - since)


_retry: ApiRetry | None = None


def retry_while_away(
    seconds: float | None = None,
    waiting: Callable[[], None] = lambda: None,
    exhausted: Callable[[str], None] = lambda message: None,
) -> None:
    """Let the Prefect clients of this process wait for an API that is away, and ask again.

    seconds: how long; by default API_RETRY_SECONDS, or 600. waiting: called before each pause. exhausted: called
    with what to say when that was too long, before ServerAway is raised; both from any thread. A further call sets
    them anew.
    """
    global _retry  # Prefect's clients are made anywhere: a process has one of it
    first = _retry is None
    if seconds is None:
        seconds = float(os.environ.get("API_RETRY_SECONDS") or 600)
    _retry = ApiRetry(seconds, waiting, exhausted)
    if first:
        _wrap(PrefectHttpxAsyncClient, _retrying_async)
        _wrap(PrefectHttpxSyncClient, _retrying_sync)
        # A subflow's run is made once, though the answer was lost and it was asked for again.
        FlowRunCreate.__fields__["idempotency_key"].default_factory = _key


def _key() -> str:
    """A new run's idempotency key; one that starts with the id of the run that asks is what its token allows."""
    return f"{os.environ.get('PREFECT__FLOW_RUN_ID', 'run')}-{uuid4()}"


def is_away() -> bool:
    """Whether this process is waiting for the API."""
    return _retry is not None and _retry.away


def _wrap(client: Any, retrying: Callable[[Any, Any], Any]) -> None:
    """Between Prefect's client, which knows about CSRF and rate limits, and httpx's, which sends."""
    original = client._send_with_retry

    @wraps(original)
    def send_with_retry(self: Any, request: Any, send: Any, *given: Any, **named: Any) -> Any:
        within = self.base_url.host == EPHEMERAL
        return original(self, request, send if within else retrying(self, send), *given, **named)

    client._send_with_retry = send_with_retry


def _retrying_async(client: Any, send: Any) -> Any:
    async def retrying(request: httpx.Request, *given: Any, **named: Any) -> httpx.Response:
        asking = _ask(client, request)
        step = next(asking)
        try:
            while True:
                if isinstance(step, float):
                    await anyio.sleep(step)
                    step = next(asking)
                    continue
                try:
                    response = await send(step, *given, **named)
                except httpx.TransportError as error:
                    step = asking.throw(error)
                else:
                    step = asking.send(response)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    return retrying


def _retrying_sync(client: Any, send: Any) -> Any:
    def retrying(request: httpx.Request, *given: Any, **named: Any) -> httpx.Response:
        asking = _ask(client, request)
        step = next(asking)
        try:
            while True:
                if isinstance(step, float):
                    time.sleep(step)
                    step = next(asking)
                    continue
                try:
                    response = send(step, *given, **named)
                except httpx.TransportError as error:
                    step = asking.throw(error)
                else:
                    step = asking.send(response)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    return retrying


Asking = Generator[httpx.Request | float, Any, httpx.Response]


def _ask(client: Any, request: httpx.Request) -> Asking:
    """Yields what is to be sent, and takes the answer or the error; or seconds to wait. Returns the answer."""
    assert _retry is not None  # or the clients would not be wrapped
    retry, began, faults = _retry, time.monotonic(), 0
    for pause in _pauses():
        try:
            response = yield request
        except AWAY as error:
            if _is_certificate(error):
                raise
            retry.failed(request, f"{type(error).__name__}: {error}", began)
        else:
            if response.status_code not in FAULTS:
                retry.answered()
                return _accepted(response)
            if (yield from _is_ready(client)):
                faults += 1
                if faults >= FAULTS_OF_A_READY_SERVER:
                    return response  # type: ignore[no-any-return]
            else:
                faults = 0
                retry.failed(request, f"HTTP {response.status_code}", began)
        yield pause
    raise AssertionError("the pauses have no end")


def _is_ready(client: Any) -> Generator[httpx.Request, Any, bool]:
    """Whether the server, which answered with a fault, has its database. Prefect says 500 and 503 also without it."""
    try:
        response = yield client.build_request("GET", "/ready")
    except httpx.TransportError:
        return False
    return response.status_code not in FAULTS


def _pauses() -> Iterator[float]:
    pause = FIRST
    while True:
        yield pause
        pause = min(pause * 2, LONGEST)


def _is_certificate(error: BaseException | None) -> bool:
    """Whether the server's certificate is not trusted: waiting will not correct that."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _accepted(response: httpx.Response) -> httpx.Response:
    """A state that the server refuses since it took it before is taken: only the answer to the first try was lost.

    Left as a refusal it would put the server's copy of the state, which has no result, in the place of ours.
    """
    if MADE_BEFORE.encode() not in response.content:
        return response
    answer = json.loads(response.content)
    if answer.get("status") != "REJECT" or answer.get("details", {}).get("reason") != MADE_BEFORE:
        return response
    answer |= {"status": "ACCEPT", "details": {"type": "accept_details"}}
    return httpx.Response(200, json=answer, request=response.request)
