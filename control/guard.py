"""Who gets through to Prefect's API and pages, which have no log-in of their own.

In this order: the name and the page that a request was made under must be ours (else any web page could use a log-in
that the browser keeps, or reach us by a name that it has pointed here); then the log-in, `Basic longshore:PASSWORD` as
a browser sends it or `Bearer PASSWORD`, gives everything; and `Bearer TOKEN` of a run gives what `run_rules` says.

Only Basic is sent by a browser by itself, so only there must a request that changes something say, by its Origin, that
it comes from our own page. A page cannot choose its Origin: Prefect's CSRF tokens, one more request for every client,
would add nothing.
"""

import hmac
import json
import logging
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from control.tokens import Claims, verify

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

USER = "longshore"
MOST_BYTES = 32 * 1024**2  # of what a run sends at once; Prefect sends logs by 4 MB
# Whether the server is well; and what browsers ask for without the log-in: the names of the pages' icons.
OPEN = frozenset({("GET", "/api/health"), ("GET", "/ico/site.webmanifest")})
SAFE = frozenset({"GET", "HEAD"})
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"same-origin"),  # with no-referrer, browsers send `Origin: null` to ourselves
)
NO_STORE = (b"cache-control", b"no-store")
LOG_IN = (b"www-authenticate", b'Basic realm="Longshore", charset="UTF-8"')
NO_LOG_IN = (
    "Log in: the name is longshore, the password is PREFECT_PASSWORD in .env. "
    "Programs send it as PREFECT_API_KEY, in `Authorization: Bearer ...`."
)
log = logging.getLogger("uvicorn.error")


@dataclass(frozen=True)
class Access:
    """What the guard knows. hosts: HOST:PORT under which the server may be called."""

    password: str = field(repr=False)
    token_key: str = field(repr=False)
    hosts: frozenset[str]

    @cached_property
    def basic(self) -> str:
        return b64encode(f"{USER}:{self.password}".encode()).decode()


@dataclass(frozen=True)
class Asked:
    """A request, or a web socket that is to be opened."""

    method: str
    path: str
    headers: dict[str, str]

    @property
    def is_api(self) -> bool:
        return self.path == "/api" or self.path.startswith("/api/")


class Refused(Exception):
    """Why somebody does not get through, and the status that says so."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class RunRules(Protocol):
    """What a run may ask: why not, or an empty text."""

    async def __call__(self, claims: Claims, method: str, path: str, body: Any) -> str: ...


def caller(asked: Asked, access: Access) -> Claims | None:
    """The run that asks; None for somebody who may have everything. Raises Refused."""
    check_place(asked, access.hosts)
    if (asked.method, asked.path) in OPEN:
        return None
    scheme, _, given = asked.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic" and same(given, access.basic):
        if asked.method not in SAFE and "origin" not in asked.headers:
            raise Refused(403, "A log-in by name and password changes things from our own page alone; " + NO_LOG_IN)
        return None
    if scheme.lower() == "bearer":
        if same(given, access.password):
            return None
        if claims := verify(access.token_key, given):
            return claims
    raise Refused(401, NO_LOG_IN)


def check_place(asked: Asked, hosts: Iterable[str]) -> None:
    """Raises Refused where a request was not made under one of our names, or by a page of somebody else's."""
    host = asked.headers.get("host", "").lower()
    if host not in hosts:
        raise Refused(400, f"This server is not called {host!r}. PREFECT_HOSTS names what it may be called.")
    origin = asked.headers.get("origin")
    if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
        raise Refused(403, f"A page of {origin} asks; only the server's own pages may.")
    # To a browser, other ports of our host are the same site.
    if asked.headers.get("sec-fetch-site") in ("cross-site", "same-site") and not (
        asked.method == "GET"  # a link to us, in a mail or on another page
        and not asked.is_api
        and asked.headers.get("sec-fetch-mode") == "navigate"
        and asked.headers.get("sec-fetch-dest") == "document"
    ):
        raise Refused(403, "A page of another site asks; only the server's own pages may.")


def same(given: str, right: str) -> bool:
    """Whether two texts are the same, found out in a time that does not tell how much of them is."""
    return hmac.compare_digest(given.encode(), right.encode())


def guarded(app: App, access: Access, rules: RunRules) -> App:
    """The app, for those alone who may use it."""

    async def guard(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await app(scope, receive, send)
        asked = asked_by(scope)
        answer = send if scope["type"] == "websocket" else hardened(send, asked)
        try:
            claims = caller(asked, access)
            if claims:
                receive = await allowed(claims, scope, receive, rules)
        except Refused as refused:
            log.warning("%s %s refused: %s", asked.method, asked.path, refused)
            return await refuse(scope["type"], refused, answer)
        return await app(scope, receive, answer)

    return guard


def asked_by(scope: Message) -> Asked:
    """What a scope asks. A web socket changes things, for all we know."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return Asked(scope.get("method", "WEBSOCKET"), scope["path"], headers)


async def allowed(claims: Claims, scope: Message, receive: Receive, rules: RunRules) -> Receive:
    """The run's request, to be read again, once its token allows it. Raises Refused."""
    if scope["type"] == "websocket":
        raise Refused(403, f"{scope['path']}: a run's token opens no web sockets.")
    body = await read(receive)
    try:
        said = json.loads(body) if body else None
    except ValueError as error:
        raise Refused(400, f"The body is no JSON: {error}") from error
    if why := await rules(claims, scope["method"], scope["path"], said):
        raise Refused(403, f"{scope['method']} {scope['path']}: {why}")
    unread = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return unread.pop() if unread else await receive()

    return again


async def read(receive: Receive) -> bytes:
    """A request's body. Raises Refused where it is too large."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            raise Refused(413, f"A run sends at most {MOST_BYTES} bytes at once.")
        if not message.get("more_body"):
            return bytes(body)


def hardened(send: Send, asked: Asked) -> Send:
    """The answer, with headers that keep other pages from showing or reading it, and the disk from keeping it."""
    more = (*HEADERS, NO_STORE) if asked.is_api else HEADERS

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await send(message)

    return answer


async def refuse(kind: str, refused: Refused, send: Send) -> None:
    """Say no."""
    if kind == "websocket":
        return await send({"type": "websocket.close", "code": 1008})  # before it is accepted: the server answers 403
    body = json.dumps({"detail": str(refused)}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refused.status == 401:
        headers.append(LOG_IN)
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    return await send({"type": "http.response.body", "body": body})
