"""Google Cloud on this machine: emulators of Cloud Storage and BigQuery, and a token endpoint for a key of our own."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PROJECT, BUCKET = "local", "longshore-local"
SPATIAL = "extensions/v1.5.5/spatial.duckdb_extension"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def google_cloud(folder: Path, bucket: str = BUCKET) -> Iterator[dict[str, str]]:
    """All of it, its data below `folder`; the environment with which clients reach it. Stopped at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        gcs = stack.enter_context(cloud_storage(folder, "127.0.0.1", free_port(), bucket))
        warehouse = stack.enter_context(bigquery(folder, "127.0.0.1", free_port()))
        token = stack.enter_context(tokens("127.0.0.1", 0))
        key = folder / "key.json"
        key.write_text(json.dumps(key_for(token)))
        yield {
            "STORAGE_EMULATOR_HOST": gcs,
            "BIGQUERY_EMULATOR_HOST": warehouse,
            "GOOGLE_APPLICATION_CREDENTIALS": str(key),
            "GCP_PROJECT": PROJECT,
            "GCS_BUCKET": bucket,
        }


@contextmanager
def cloud_storage(folder: Path, host: str, port: int, bucket: str) -> Iterator[str]:
    """The Cloud Storage emulator with a bucket; its objects are files below `folder`/.cloudstorage."""
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--host", host, "--port", str(port), "-q"]
    command += ["--default-bucket", bucket]
    env = {**os.environ, "STORAGE_BASE": str(folder)}
    with running(command, env, f"http://127.0.0.1:{port}/", folder / "gcs.log"):
        yield f"http://{host}:{port}"


@contextmanager
def bigquery(folder: Path, host: str, port: int) -> Iterator[str]:
    """The BigQuery emulator; gs:// is the Cloud Storage emulator's folder."""
    home = folder / "duckdb-home"
    put_extension(home)
    command = [sys.executable, "-m", "bqemulator", "start", "--rest-host", host, "--rest-port", str(port)]
    command += ["--grpc-port", str(free_port()), "--persistent", "--data-dir", str(folder / "bigquery")]
    command += ["--log-level", "error"]
    env = {
        **os.environ,
        "HOME": str(home),  # where DuckDB looks for extensions; it would download them otherwise
        "BQEMU_GCS_LOCAL_ROOT": str(folder / ".cloudstorage"),
        "BQEMU_ENABLE_FORMAT_EXTENSIONS": "false",
    }
    with running(command, env, f"http://127.0.0.1:{port}/healthz", folder / "bigquery.log"):
        yield f"http://{host}:{port}"


def put_extension(home: Path) -> None:
    """Give DuckDB the spatial extension that its package brings."""
    import duckdb_extension_spatial

    copy = home / ".duckdb/extensions/v1.5.5/linux_amd64/spatial.duckdb_extension"
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(duckdb_extension_spatial.__file__).parent / SPATIAL, copy)


@contextmanager
def running(command: list[str], env: dict[str, str], health: str, log: Path) -> Iterator[None]:
    """A server's process, once it answers; stopped at the end."""
    with log.open("ab") as output, subprocess.Popen(command, env=env, stdout=output, stderr=output) as process:
        try:
            wait_for(health, process, log)
            yield
        finally:
            process.terminate()


def wait_for(health: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    """Wait until the server answers 200. Raises RuntimeError with its log when it does not."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(health, timeout=2):
                return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{health}: {error}\n{log.read_text()[-2000:]}") from error
            time.sleep(0.05)


@contextmanager
def tokens(host: str, port: int) -> Iterator[str]:
    """An OAuth token endpoint that lets everybody in; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.answer({"access_token": "local", "expires_in": 3600, "token_type": "Bearer"})

        def do_GET(self) -> None:
            self.answer({})

        def answer(self, said: dict[str, Any]) -> None:
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((host, port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}/token"
    finally:
        server.shutdown()
        server.server_close()


def key_for(token_uri: str) -> dict[str, str]:
    """A service account's key file whose tokens come from `token_uri`: real clients and blocks take it as it is."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "local",
        "private_key": pem.decode(),
        "client_email": f"longshore@{PROJECT}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }
