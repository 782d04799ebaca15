"""A proxy before an emulator, which can be told to break: what the emulators never do by themselves."""

import http.client
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal
from urllib.parse import urlsplit

from standins.google.serve import serving

# status: answer with it. cut: close after `at` bytes of the body, of which the emulator gets none; keep: the same, but
# it keeps them. mute: pass the request on, then close without an answer. flip: change the body's last byte.
Kind = Literal["status", "cut", "keep", "mute", "flip"]


@dataclass
class Fault:
    """What happens to the next `times` requests of a method whose address or body matches."""

    kind: Kind
    method: str = "PUT"
    match: str = ""
    status: int = 503
    reason: str = "backendError"
    at: int = 0
    times: int = 1
    skip: int = 0  # matching requests that pass before


@dataclass
class Proxy:
    """url: its address. seen: method and path of every request, in order."""

    target: str
    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def due(self, method: str, path: str, body: bytes) -> Fault | None:
        """The fault for a request, used up once."""
        with self.lock:
            self.seen.append((method, path))
            for fault in self.faults:
                hit = fault.times > 0 and method == fault.method
                if not hit or not (re.search(fault.match, path) or re.search(fault.match.encode(), body)):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    return None
                fault.times -= 1
                return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        fault = self.proxy.due(self.command, self.path, body)
        if fault is None:
            self.answer(*self.ask(body, headers))
        elif fault.kind == "status":
            said = {
                "code": fault.status,
                "message": f"{fault.reason} by the proxy",
                "errors": [{"reason": fault.reason}],
            }
            self.answer(fault.status, {"Content-Type": "application/json"}, json.dumps({"error": said}).encode())
        elif fault.kind == "flip":
            self.answer(*self.ask(body[:-1] + bytes([body[-1] ^ 1]), headers))
        else:
            if fault.kind == "keep":
                first = int(re.findall(r"\d+", headers["Content-Range"])[0])
                headers |= {"Content-Range": f"bytes {first}-{first + fault.at - 1}/*", "Content-Length": str(fault.at)}
                self.ask(body[: fault.at], headers)
            elif fault.kind == "mute":
                self.ask(body, headers)
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on  # noqa: N815

    def ask(self, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """The emulator's answer."""
        connection = http.client.HTTPConnection(urlsplit(self.proxy.target).netloc, timeout=60)
        try:
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        except OSError:  # it is gone: so is its proxy
            return 0, {}, b""
        finally:
            connection.close()

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "server", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def proxied(target: str) -> Iterator[Proxy]:
    """A proxy before the emulator at `target`, until the block ends."""
    proxy = Proxy(target)
    with serving(type("Handler", (_Handler,), {"proxy": proxy})) as proxy.url:
        yield proxy
