"""An OAuth token endpoint that lets everybody in."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = json.dumps({"access_token": "local", "expires_in": 3600, "token_type": "Bearer"}).encode()


class Handler(BaseHTTPRequestHandler):
    """The same token for every request."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(TOKEN)))
        self.end_headers()
        self.wfile.write(TOKEN)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def tokens(host: str, port: int) -> Iterator[str]:
    """The endpoint's URL while it is served. port: 0 for a free one."""
    server = ThreadingHTTPServer((host, port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}/token"
    finally:
        server.shutdown()
        server.server_close()
