"""What can go wrong with a download, caused on purpose."""

from __future__ import annotations

import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from standins.web.handler import Handler

HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
PIECE = 1 << 16


@dataclass
class Request:
    """One request as it came, and how it was answered."""

    method: str
    path: str  # without the query
    range: str | None
    if_range: str | None
    status: int = 0
    sent: int = 0  # bytes of the body that were given to the socket


@dataclass
class Fault:
    """One way to misbehave; fields combine. Counts for `times` GET requests, None = for good."""

    times: int | None = 1
    status: int | None = None  # answer this status (with `body` and `headers`, e.g. Retry-After)
    body: bytes | None = None  # answer 200 with this body: HTML, b"" ...
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None  # close after that many bytes of this answer
    cut_at: int | None = None  # close at that byte of the file, wherever the Range began
    reset: bool = False  # cut by RST, not by FIN (the client may then lose bytes that were sent)
    ignore_range: bool = False  # always 200 with the whole file
    ignore_if_range: bool = False  # 206 although the file has changed
    etag: str | None = None  # this tag; "" = none; 'W/"x"' = weak
    content_range: str | None = None  # a wrong one
    chunked: bool = False  # no Content-Length
    wait: float = 0.0  # seconds of silence before the first byte of the body
    stall_after: int | None = None  # silence for good after that many bytes of this answer
    bytes_per_second: int = 0  # slow drip

    @property
    def plain(self) -> bool:
        """Whether the body goes out as it is."""
        cut = (self.cut_after, self.cut_at, self.stall_after) != (None, None, None)
        return not (cut or self.chunked or self.wait or self.bytes_per_second)


def send_body(handler: Handler, file: IO[bytes], start: int, stop: int, fault: Fault, closing: threading.Event) -> None:
    """Send bytes [start, stop) of a file the way the fault says. `closing` ends every wait."""
    line = handler.connection
    if fault.plain:
        # The kernel copies from the page cache: the stand-in must not be what a benchmark measures.
        handler.asked.sent = line.sendfile(file, start, stop - start) if stop > start else 0
        return
    closing.wait(fault.wait)
    ends = [n for n in (fault.cut_at, None if fault.cut_after is None else start + fault.cut_after) if n is not None]
    end = min([stop, *(max(n, start) for n in ends)])
    quiet = None if fault.stall_after is None else start + fault.stall_after
    piece = min(PIECE, max(fault.bytes_per_second // 20, 1)) if fault.bytes_per_second else PIECE
    file.seek(start)
    began, at = time.monotonic(), start
    while at < end and not closing.is_set():
        if quiet is not None and at >= quiet:
            closing.wait()
            break
        data = file.read(min(piece, end - at, quiet - at if quiet is not None else end))
        line.sendall(b"%x\r\n%b\r\n" % (len(data), data) if fault.chunked else data)
        at += len(data)
        handler.asked.sent = at - start
        if fault.bytes_per_second:
            due = began + (at - start) / fault.bytes_per_second
            closing.wait(max(due - time.monotonic(), 0))
    if ends and at == end and end < stop:
        _cut(handler, line, fault.reset)
    elif at < stop:
        handler.close_connection = True
    elif fault.chunked:
        line.sendall(b"0\r\n\r\n")


def _cut(handler: Handler, line: socket.socket, reset: bool) -> None:
    handler.close_connection = True
    if reset:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.server.close_request(line)
    else:
        line.shutdown(socket.SHUT_WR)
