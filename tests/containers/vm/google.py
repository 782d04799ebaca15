"""Stands in for Google Cloud, as a worker VM sees it: the metadata server on port 80, Secret Manager on port 443.

What they answer is in files of /state, read anew each time: token, attributes.json, and secret where there is one.
Standard library only: it runs in a container.
"""

import base64
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

STATE = Path("/state")


class Handler(BaseHTTPRequestHandler):
    """Answers in JSON, or in text."""

    def do_GET(self) -> None:
        status, content = self.answer()
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self) -> tuple[int, Any]:
        raise NotImplementedError


class Metadata(Handler):
    """instance/attributes/NAME, and the token of the VM's service account."""

    def answer(self) -> tuple[int, Any]:
        if self.headers["Metadata-Flavor"] != "Google":
            return 403, "Missing Metadata-Flavor:Google header."
        path = self.path.removeprefix("/computeMetadata/v1/instance/")
        if path == "service-accounts/default/token":
            return 200, {"access_token": (STATE / "token").read_text(), "expires_in": 3599, "token_type": "Bearer"}
        attributes = json.loads((STATE / "attributes.json").read_text())
        name = path.removeprefix("attributes/")
        return (200, attributes[name]) if name in attributes else (404, "not found")


class SecretManager(Handler):
    """The newest version of the one secret that longshore-secret names."""

    def answer(self) -> tuple[int, Any]:
        time.sleep(1)  # long enough for a look at the words of the command that asks
        if self.headers["Authorization"] != f"Bearer {(STATE / 'token').read_text()}":
            return 401, problem(401, "Request had invalid authentication credentials.")
        name = json.loads((STATE / "attributes.json").read_text())["longshore-secret"]
        if self.path != f"/v1/{name}/versions/latest:access":
            return 403, problem(403, f"Permission 'secretmanager.versions.access' denied for {self.path}")
        if not (STATE / "secret").exists():
            return 404, problem(404, f"Secret [{name}] not found or has no versions.")
        return 200, {"payload": {"data": base64.b64encode((STATE / "secret").read_bytes()).decode()}}


def problem(code: int, message: str) -> dict[str, Any]:
    """An error as Google's APIs give it."""
    return {"error": {"code": code, "message": message}}


if __name__ == "__main__":
    threading.Thread(target=ThreadingHTTPServer(("", 80), Metadata).serve_forever).start()
    secrets = ThreadingHTTPServer(("", 443), SecretManager)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(STATE / "tls/ca.crt", STATE / "tls/ca.key")
    secrets.socket = context.wrap_socket(secrets.socket, server_side=True)
    secrets.serve_forever()
