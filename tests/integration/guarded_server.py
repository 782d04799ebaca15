"""Our Prefect server, as it is run in its container: behind the log-in. And runs that hold a run's token alone."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_KEY, PREFECT_API_URL, temporary_settings

from control.tokens import Claims, sign
from scripts.settings import ROOT
from standins.google.servers import free_port, stop, wait_for
from tests.integration.prefect_server import deploy

PASSWORD, TOKEN_KEY = "correct-horse", "token-key-of-ours"
ENCRYPTION_KEY = "7Q3jM6XcF0kZ2q8sV9wYb1nTt4uPp5rRl6oEe7iAa8g="


@dataclass(frozen=True)
class Guarded:
    """A running server. url: of its API; log: what it printed."""

    url: str
    log: Path

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://").removesuffix("/api")

    def ask(self, method: str, path: str, key: str | None = PASSWORD, **more: Any) -> httpx.Response:
        """One request; by default with the whole key."""
        headers = {**({"authorization": f"Bearer {key}"} if key else {}), **more.pop("headers", {})}
        with httpx.Client(base_url=self.url, timeout=60) as client:
            return client.request(method, path, headers=headers, **more)


def settings(port: int, **env: str) -> dict[str, str]:
    """The server's environment: of this process, what its container has."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PREFECT_PASSWORD": PASSWORD,
        "PREFECT_TOKEN_KEY": TOKEN_KEY,
        "PREFECT_SERVER_ENCRYPTION_KEY": ENCRYPTION_KEY,
        "PREFECT_HOSTS": f"127.0.0.1:{port}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_API_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "1",
        **env,
    }


@contextmanager
def guarded_server(home: Path, **env: str) -> Iterator[Guarded]:
    """The server, with nothing on it; Prefect's clients of this process use it meanwhile, with the whole key."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    given = settings(port, **{"PREFECT_HOME": str(home), "PREFECT_UI_STATIC_DIRECTORY": str(home / "ui"), **env})
    command = [sys.executable, "-m", "control.server", "--port", str(port)]
    log = home / "guarded.log"
    with (
        log.open("ab") as file,
        subprocess.Popen(command, env=given, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file) as process,
    ):
        try:
            wait_for(f"{url}/health", process)
            with temporary_settings({PREFECT_API_URL: url, PREFECT_API_KEY: PASSWORD}):
                yield Guarded(url, log)
        finally:
            stop(process)


@contextmanager
def guarded_jobs(home: Path, **env: str) -> Iterator[Guarded]:
    """The same, with every job deployed."""
    with guarded_server(home, **env) as server:
        asyncio.run(deploy())
        yield server


def secret(value: str) -> Any:
    """A block with something secret, which can be saved."""
    return Secret.parse_obj({"value": value})


def token(run: Any, blocks: tuple[str, ...] = (), starts: tuple[str, ...] = (), seconds: int = 3600) -> str:
    """A run's token, as the worker makes it."""
    claims = Claims(str(run.id), str(run.deployment_id or ""), blocks, starts, int(time.time()) + seconds)
    return sign(TOKEN_KEY, claims)


def engine(server: Guarded, run: Any, key: str, env: Mapping[str, str] = {}) -> str:
    """Run a flow run here as its container does, with nothing but this key; what it printed."""
    given = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PREFECT_API_URL": server.url,
        "PREFECT_API_KEY": key,
        "PREFECT_LOGGING_TO_API_ENABLED": "true",
        "PREFECT__FLOW_RUN_ID": str(run.id),
        **env,
    }
    done = subprocess.run([sys.executable, "-m", "prefect.engine"], env=given, cwd=ROOT, capture_output=True, text=True)
    return done.stdout + done.stderr
