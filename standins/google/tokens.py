"""An OAuth token endpoint that lets everybody in."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from standins.google.serve import serving

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
    with serving(Handler, host, port) as url:
        yield f"{url}/token"
