"""A registry on a name of this machine: Debian's docker-registry with TLS and a password, behind a counted wire."""

import crypt
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from scripts.registry import CERTS
from standins.google.cloud_run.certificate import certificate
from standins.google.servers import free_port, stop
from tests.containers.wire import Wire, wired

NAME = "registry.longshore.test"
HOSTS = Path("/etc/hosts")


@dataclass
class LocalRegistry:
    """name: what REGISTRY is set to. folder: its files. wire: what went over the line."""

    name: str
    password: str = field(repr=False)
    folder: Path
    wire: Wire
    process: subprocess.Popen[bytes] | None = None
    user: str = "pusher"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = ["docker-registry", "serve", str(self.folder / "config.yml")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            with suppress(OSError):
                return socket.create_connection(("127.0.0.1", self.wire.target)).close()
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "the registry does not listen"
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def settings(self) -> dict[str, str]:
        """What a person sets to push there."""
        return {"REGISTRY": self.name, "REGISTRY_USER": self.user, "REGISTRY_PASSWORD": self.password}

    def blobs(self) -> dict[str, int]:
        """Bytes of what it keeps, by digest."""
        found = (self.folder / "data").glob("docker/registry/v2/blobs/sha256/*/*/data")
        return {f"sha256:{path.parent.name}": path.stat().st_size for path in found}

    def taken(self, image: str) -> list[int]:
        """Bytes of the layers that it has confirmed for an image: the engine asks for each once more (HEAD)."""
        confirmed = f'"HEAD /v2/longshore/{image}/blobs/(sha256:[0-9a-f]+) HTTP/1.1" 200'
        kept = self.blobs()
        return [kept[digest] for digest in set(re.findall(confirmed, (self.folder / "log").read_text()))]


def config(folder: Path, port: int, tls: bool, password: str) -> None:
    """config.yml, as JSON, which YAML includes, and the file of passwords when there is one."""
    made: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": secrets.token_hex(16)},
    }
    if tls:
        made["http"] |= {"tls": {"certificate": str(folder / "ca.crt"), "key": str(folder / "ca.key")}}  # type: ignore[operator]
    if password:
        hashed = crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=1 << 5))
        (folder / "htpasswd").write_text(f"pusher:{hashed}\n")
        made["auth"] = {"htpasswd": {"realm": "longshore", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(made))


@contextmanager
def named(name: str, address: str) -> Iterator[None]:
    """A name for an address in /etc/hosts. Not 127.0.0.1: there the engine checks no certificate."""
    line = f"{address} {name} # longshore's tests\n"
    with HOSTS.open("a") as file:
        file.write(line)
    try:
        ask = ["docker", "pull", "--quiet", f"{name}:1/nothing"]
        deadline = time.monotonic() + 30
        while "no such host" in subprocess.run(ask, capture_output=True, text=True).stderr:
            assert time.monotonic() < deadline, f"the engine does not find {name} in {HOSTS}"
            time.sleep(0.5)  # it looks at the file only every few seconds
        yield
    finally:
        HOSTS.write_text(HOSTS.read_text().replace(line, "", 1))


@contextmanager
def trusted_by_engine(host: str, ca: Path) -> Iterator[Path]:
    """The engine trusts this authority for that registry; the file, which may be taken away for a while."""
    copy = CERTS / host / "ca.crt"
    copy.parent.mkdir(parents=True)
    shutil.copy(ca, copy)
    try:
        yield copy
    finally:
        shutil.rmtree(copy.parent)
        with suppress(OSError):
            CERTS.rmdir()


def bridge() -> str:
    """This machine's address on the engine's own network, where nobody else listens; empty when it has none."""
    found = psutil.net_if_addrs().get("docker0", [])
    return next((one.address for one in found if one.family is socket.AF_INET), "")


def need_registry() -> None:
    """Skip where the machine lacks something."""
    if os.geteuid():
        pytest.skip("needs root: the engine must be told to trust a certificate")
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed (a Debian package)")
    if not bridge():
        pytest.skip("the engine is elsewhere: there is no docker0 here")


@contextmanager
def local_registry(folder: Path) -> Iterator[LocalRegistry]:
    """An empty registry with TLS and a password, on a name of this machine."""
    need_registry()
    address, port = bridge(), free_port()
    ca, _ = certificate(folder, NAME, address)
    password = secrets.token_hex(16)
    config(folder, port, tls=True, password=password)
    with wired(address, port) as (outside, wire), named(NAME, address):
        host = f"{NAME}:{outside}"
        registry = LocalRegistry(f"{host}/longshore", password, folder, wire)
        with trusted_by_engine(host, ca):
            registry.start()
            try:
                yield registry
            finally:
                assert registry.process
                stop(registry.process)
