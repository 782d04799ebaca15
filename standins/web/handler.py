"""Answers as the taxi website does: redirect, signed object URL, ETag, Range."""

from __future__ import annotations

import os
import re
import secrets
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from standins.web.faults import Fault, Request, send_body

if TYPE_CHECKING:
    from standins.web.server import Site

RELEASE = re.compile(r"^(?:/DataTalksClub)?/nyc-tlc-data/releases/download/(\w+)/([\w.-]+)$")
OBJECT = re.compile(r"^/objects/(\w+)/([\w.-]+)$")
ONE_RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    protocol_version = "HTTP/1.1"
    server_version = "stand-in"
    disable_nagle_algorithm = True  # header and body are two writes
    site: Site

    def do_GET(self) -> None:
        """Answer with the body."""
        url = urlsplit(self.path)
        path = unquote(url.path)
        asked = Request(self.command, path, self.headers.get("Range"), self.headers.get("If-Range"))
        self.site.requests.append(asked)
        self.asked = asked
        # HEAD shows the fault that is due and leaves it for the GET.
        fault = self.site.fault(path, use=self.command == "GET")
        try:
            if fault.status:
                self._text(fault.status, fault.body or b"", fault.headers)
            elif fault.body is not None:
                self._text(200, fault.body, fault.headers)
            elif path == "/health":
                self._text(200, b"ready\n")
            else:
                self._answer(path, parse_qs(url.query, keep_blank_values=True), fault)
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, path: str, query: dict[str, list[str]], fault: Fault) -> None:
        """What the website has at a path."""
        if found := RELEASE.match(path):
            self._redirect(*found.groups())
        elif found := OBJECT.match(path):
            self._object(found[2], float(query.get("se", ["0"])[0]), fault)
        elif path.startswith("/files/"):
            self._file(path.removeprefix("/files/"), fault)
        else:
            self._text(404, b"Not Found")

    def _redirect(self, color: str, name: str) -> None:
        if not (self.site.root / name).is_file():
            return self._text(404, b"Not Found")
        expires = time.time() + self.site.signed_for
        base = f"http://{self.headers.get('Host') or self.site.url.removeprefix('http://')}"
        where = f"{base}/objects/{color}/{name}?se={expires:.2f}&sig={secrets.token_urlsafe(24)}"
        return self._text(302, b"", {"Location": where, "Cache-Control": "no-cache"})

    def _object(self, name: str, expires: float, fault: Fault) -> None:
        if time.time() > expires:
            return self._text(403, b"<Error><Code>AuthenticationFailed</Code></Error>")
        return self._file(name, fault)

    def _file(self, name: str, fault: Fault, kind: str = "application/octet-stream") -> None:
        path = (self.site.root / name).resolve()
        if not path.is_relative_to(self.site.root.resolve()) or not path.is_file():
            return self._text(404, b"Not Found")
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            tag = f'"0x{stat.st_mtime_ns ^ stat.st_size:X}"' if fault.etag is None else fault.etag
            modified = formatdate(stat.st_mtime, usegmt=True)
            span = self._span(stat.st_size, tag, modified, fault)
            if span is None:
                return self._text(416, b"", {"Content-Range": f"bytes */{stat.st_size}"})
            start, stop = span
            partial = (start, stop) != (0, stat.st_size) or self._ranged
            self.send_response(206 if partial else 200)
            self.asked.status = 206 if partial else 200
            self.send_header("Content-Type", kind)
            self.send_header("Last-Modified", modified)
            if tag:
                self.send_header("ETag", tag)
            if not fault.ignore_range:
                self.send_header("Accept-Ranges", "bytes")
            if partial:
                true = f"bytes {start}-{stop - 1}/{stat.st_size}"
                self.send_header("Content-Range", fault.content_range or true)
            if fault.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", str(stop - start))
            for key, value in fault.headers.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                send_body(self, file, start, stop, fault, self.site.closing)
        return None

    def _span(self, size: int, tag: str, modified: str, fault: Fault) -> tuple[int, int] | None:
        """The bytes to send, [start, stop); None when the Range lies behind the end (416)."""
        self._ranged = False
        asked = ONE_RANGE.match(self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        # Only a strong tag, or the exact date, lets a Range continue (RFC 9110, 13.1.5).
        same = condition is None or condition == modified or (condition == tag and condition.startswith('"'))
        if not asked or fault.ignore_range or not (same or fault.ignore_if_range):
            return 0, size
        first, last = asked.groups()
        if not first and not last:
            return 0, size
        if not first:
            start, stop = max(size - int(last), 0), size
        else:
            start, stop = int(first), min(int(last) + 1, size) if last else size
        self._ranged = True
        return (start, stop) if start < stop else None

    def _text(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.asked.status = status
        self.send_response(status)
        kind = "text/html; charset=utf-8" if b"<" in body else "text/plain; charset=utf-8"
        for key, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
            self.asked.sent = len(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the requests are kept in `site.requests`."""
