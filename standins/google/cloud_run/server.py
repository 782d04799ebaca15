"""The stand-in as a server, with a certificate that clients trust by HTTPLIB2_CA_CERTS.

Who looks for REGION-run.googleapis.com must be led here (standins/google/relay.py): the clients' endpoints are fixed.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from standins.google.cloud_run import v1, v2
from standins.google.cloud_run.certificate import certificate
from standins.google.cloud_run.description import Call, description
from standins.google.cloud_run.errors import ApiError
from standins.google.cloud_run.service import CloudRun, Fault, Json
from standins.google.serve import serving
from standins.google.tokens import TOKEN

HOST = "run.googleapis.com"
HERE = "local"  # the region of who asks by another name
BEARER = f"Bearer {json.loads(TOKEN)['access_token']}"
SAID = {429: "Quota exceeded for quota metric 'Write requests'.", 503: "The service is currently unavailable."}


@dataclass(frozen=True)
class Request:
    """A request and its answer's status. method: its id in Google's description, or its path where there is none."""

    method: str
    names: tuple[str, ...]
    body: Json
    status: int


@dataclass
class Front:
    """run: what is behind. ca: file of the certificate to trust. requests: all there were.

    may: permissions of whoever asks, such as run.jobs.create; None: all.
    """

    run: CloudRun
    ca: Path
    url: str = ""
    may: frozenset[str] | None = None
    requests: list[Request] = field(default_factory=list)

    def answer(self, verb: str, host: str, target: str, bearer: str, content: bytes) -> tuple[int, Json]:
        """Status and body of the answer."""
        url = urlsplit(target)
        method, names = url.path, tuple[str, ...]()
        body: Json = {}
        with self.run.lock:
            try:
                if bearer != BEARER:
                    raise ApiError(401, "Request had invalid authentication credentials.")
                body = json.loads(content) if content else {}
                call = self._call(verb, url.path, dict(parse_qsl(url.query)), body)
                method, names = call.method, call.names
                status, said = 200, self._do(call, host)
            except json.JSONDecodeError as error:
                status, said = 400, ApiError(400, f"Invalid JSON payload received. {error}").body()
            except ApiError as error:
                status, said = error.code, error.body()
            self.requests.append(Request(method, names, body, status))
        return status, said

    def asked(self, method: str) -> list[Request]:
        """The requests of a method, by the end of its id."""
        return [one for one in self.requests if one.method.endswith(f".{method}")]

    def _call(self, verb: str, path: str, query: dict[str, str], body: Json) -> Call:
        for version in (v1.VERSION, v2.VERSION):
            if call := description(version).call(verb, path, query, body):
                return call
        raise ApiError(404, f"The requested URL {path} was not found on this server.")

    def _do(self, call: Call, host: str) -> Json:
        if not (method := (v1.METHODS | v2.METHODS).get(call.method)):
            raise ApiError(501, f"{call.method} is not part of this stand-in.", "UNIMPLEMENTED")
        own = host.removesuffix(HOST).removesuffix("-") if host.endswith(HOST) else HERE
        if not (region := call.names[1] if call.method in v2.METHODS else own):
            raise ApiError(404, "The first version is asked for at REGION-run.googleapis.com.")
        self.run.check_project(call.names[0], call.method)
        permission = "run." + ".".join(call.method.split(".")[-2:])
        if self.may is not None and permission not in self.may:
            raise ApiError(403, f"Permission '{permission}' denied on resource '{call.names[-1]}'.")
        if (fault := self._due(call.method)) is None:
            return method(self.run, call, region)
        if fault.lost:
            method(self.run, call, region)
        raise ApiError(fault.status, SAID.get(fault.status, "Injected."))

    def _due(self, method: str) -> Fault | None:
        """The fault for this request, used up once."""
        for fault in self.run.faults:
            if fault.times and method.endswith(f".{fault.method}"):
                if fault.skip:
                    fault.skip -= 1
                    return None
                fault.times -= 1
                return fault
        return None


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    front: Front

    def do_GET(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        host, bearer = self.headers["Host"].partition(":")[0], self.headers.get("Authorization", "")
        status, said = self.front.answer(self.command, host, self.path, bearer, content)
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_DELETE = do_PUT = do_PATCH = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@contextmanager
def cloud_run(run: CloudRun, folder: Path, host: str = "127.0.0.1") -> Iterator[Front]:
    """The stand-in, served until the block ends; its certificate is in `folder`."""
    ca, tls = certificate(folder, "*.googleapis.com", host)
    front = Front(run, ca)
    try:
        with serving(type("Handler", (Handler,), {"front": front}), host, tls=tls) as front.url:
            yield front
    finally:
        run.close()
