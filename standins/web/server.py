"""The stand-in of the taxi website: redirects, signed object URLs, ETags and Ranges as the real one has them.

with serve(root) as site:
    site.taxi_url                      # what TAXI_URL is set to: .../releases/download
    site.url + "/files/x.csv"          # any file below root
    site.faults["/files/x.csv"] = [Fault(cut_after=1000)]
    site.requests                      # what was asked, and how many bytes went out
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from standins.web.faults import HTML, Fault, Request
from standins.web.handler import Handler

__all__ = ["HTML", "Fault", "Request", "Site", "running", "serve", "wait_for_a_signal"]


@dataclass
class Site:
    """A running stand-in. `faults` is by path; of several the first is used up before the next one counts."""

    root: Path
    url: str = ""
    signed_for: float = 300.0  # seconds until an object URL answers 403
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def taxi_url(self) -> str:
        """The base URL of the taxi files: `{taxi_url}/{color}/{file}`."""
        return f"{self.url}/nyc-tlc-data/releases/download"

    def asked(self, path: str, method: str = "GET") -> list[Request]:
        """The requests for one path, in order."""
        return [r for r in self.requests if r.path == path and r.method == method]

    def fault(self, path: str, use: bool) -> Fault:
        """The fault that is due for a path; with `use`, one request of it is used up."""
        with self.lock:
            due = self.faults.get(path) or [Fault()]
            fault = due[0]
            if use and fault.times is not None and path in self.faults:
                fault.times -= 1
                if fault.times <= 0:
                    due.pop(0)
            return fault


AnySite = TypeVar("AnySite", bound=Site)


class _Server(ThreadingHTTPServer):
    daemon_threads, block_on_close = True, False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away in mid-answer: tests and benchmarks do that on purpose."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def serve(root: Path, host: str = "127.0.0.1", port: int = 0) -> AbstractContextManager[Site]:
    """Serve `root` from threads of this process until the block ends."""
    return running(Site(Path(root)), Handler, host, port)


@contextmanager
def running(site: AnySite, answers: type[Handler], host: str, port: int) -> Iterator[AnySite]:
    """The site while it is served. `answers` says what it has at which path."""
    handler = type("SiteHandler", (answers,), {"site": site})
    server = _Server((host, port), handler)
    site.url = f"http://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.closing.set()
        with suppress(OSError):
            server.shutdown()
        server.server_close()
        thread.join()


def wait_for_a_signal() -> None:
    """Until SIGTERM or SIGINT comes. Called by the main thread."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
