"""Google's Artifact Registry as far as it differs from a plain one: tokens, repositories, and its refusals' words."""

import base64
import http.client
import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from standins.google.cloud_run.certificate import certificate
from standins.google.serve import serving
from standins.google.servers import free_port, stop
from tests.containers.registry import LocalRegistry, bridge, config, named, need_registry, trusted_by_engine
from tests.containers.wire import Wire

NAME = "nowhere1-docker.pkg.dev"
RESOURCE = "projects/longshore/locations/nowhere1/repositories/jobs"
DENIED = (
    403,
    "DENIED",
    f'Permission "artifactregistry.repositories.uploadArtifacts" denied on resource "{RESOURCE}" (or it may not exist)',
)
NO_REPOSITORY = (404, "NAME_UNKNOWN", 'Repository "jobs" not found')


@dataclass
class ArtifactRegistry:
    """name: what REGISTRY is set to. accounts: password by user. asked_as: the users that asked for a token.

    refusal: the answer to what changes something, NO_REPOSITORY's to questions as well.
    """

    name: str
    target: int
    accounts: dict[str, str] = field(default_factory=dict)
    refusal: tuple[int, str, str] | None = None
    asked_as: list[str] = field(default_factory=list)
    token: str = field(default_factory=lambda: secrets.token_hex(16))


class _Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front: ArtifactRegistry

    def handle_one(self) -> None:
        body = self.body()
        front, host = self.front, self.headers["Host"]
        sent = self.headers.get("Authorization", "")
        if self.path.startswith("/v2/token"):
            user, _, password = base64.b64decode(sent.removeprefix("Basic ")).decode().partition(":")
            front.asked_as.append(user)
            if user and front.accounts.get(user) == password:
                return self.answer(200, {}, json.dumps({"token": front.token}).encode())
            return self.refuse(401, "UNAUTHORIZED", "authentication failed")
        if sent != f"Bearer {front.token}":
            asks = f'Bearer realm="https://{host}/v2/token",service="{NAME}"'
            return self.refuse(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": asks})
        question = self.path == "/v2/" or (self.command in ("GET", "HEAD") and front.refusal != NO_REPOSITORY)
        if front.refusal and not question:
            return self.refuse(*front.refusal)
        return self.pass_on(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one  # noqa: N815

    def body(self) -> bytes:
        """The request's body, of known length or in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def pass_on(self, body: bytes) -> None:
        """Let the registry behind answer."""
        kept = {
            name: self.headers[name] for name in ("Host", "Accept", "Content-Type", "Range") if name in self.headers
        }
        behind = http.client.HTTPConnection("127.0.0.1", self.front.target, timeout=60)
        try:
            behind.request(self.command, self.path, body, {**kept, "X-Forwarded-Proto": "https"})
            response = behind.getresponse()
            self.answer(response.status, dict(response.getheaders()), response.read())
        finally:
            behind.close()

    def refuse(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        said = {"errors": [{"code": code, "message": message}]}
        self.answer(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(said).encode())

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        length = headers.pop("Content-Length", str(len(body))) if self.command == "HEAD" else str(len(body))
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def artifact_registry(folder: Path) -> Iterator[ArtifactRegistry]:
    """An empty one, by the name of a region that does not exist."""
    need_registry()
    address, behind = bridge(), free_port()
    ca, context = certificate(folder, NAME, address)
    config(folder, behind, tls=False, password="")
    plain = LocalRegistry("", "", folder, Wire(behind))
    plain.start()
    front = ArtifactRegistry("", behind)
    try:
        with serving(type("Front", (_Front,), {"front": front}), address, tls=context) as url, named(NAME, address):
            host = f"{NAME}:{url.rpartition(':')[2]}"
            front.name = f"{host}/longshore/jobs"
            with trusted_by_engine(host, ca):
                yield front
    finally:
        assert isinstance(plain.process, subprocess.Popen)
        stop(plain.process)
