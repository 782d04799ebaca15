"""A wire to a server: passes TCP connections on, as they are, and counts their bytes."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Wire:
    """up: bytes towards the server. down: from it. open: cleared, nothing goes up any more."""

    target: int
    up: int = 0
    down: int = 0
    open: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.open.set()

    def count(self, *, up: int = 0, down: int = 0) -> None:
        with self.lock:
            self.up, self.down = self.up + up, self.down + down

    def reset(self) -> None:
        with self.lock:
            self.up = self.down = 0

    def pipe(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        """Pass on what comes, to the end."""
        with suppress(OSError):
            while data := source.recv(65536):
                if way == "up":
                    self.open.wait()
                self.count(**{way: len(data)})
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            for one, other, way in ((near, far, "up"), (far, near, "down")):
                threading.Thread(target=self.pipe, args=(one, other, way), daemon=True).start()


@contextmanager
def wired(address: str, target: int) -> Iterator[tuple[int, Wire]]:
    """A wire from a free port of `address` to a port of this machine."""
    wire = Wire(target)
    with socket.create_server((address, 0)) as listener:
        threading.Thread(target=wire.serve, args=(listener,), daemon=True).start()
        try:
            yield listener.getsockname()[1], wire
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
