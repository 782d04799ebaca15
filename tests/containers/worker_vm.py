"""A Debian machine with systemd and its own Docker engine, in a network that looks to it like Google Cloud."""

import crypt
import hashlib
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from scripts.base_images import bootstrap
from scripts.docker import docker_says, image_exists
from scripts.settings import ROOT, new_password
from standins.google.cloud_run.certificate import certificate
from standins.google.servers import free_port
from tests.containers.runs import wait_for

NETWORK = f"longshore-test-vm-{os.getpid()}"
REGISTRY = "europe-west1-docker.pkg.dev"
SECRET = "projects/test/secrets/longshore-prefect-profile"
SCRIPT = ROOT / "terraform/worker/startup.sh"
SERVICE = "longshore-worker"
# systemd as the first process wants cgroups it can write, and a Docker engine in a container wants nearly all rights.
# Not --privileged: that asks for rights which not every engine has to give.
BOOT = """
awk '$2 ~ "^/(sys/fs/cgroup|proc/sys)" {print $2}' /proc/mounts | xargs -n 1 mount -o remount,bind,rw
exec /lib/systemd/systemd
"""
RIGHTS = "--cap-add ALL --cap-drop SYS_RESOURCE --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
MACHINE = [*RIGHTS.split(), "--device-cgroup-rule", "a *:* rwm", "--cgroupns", "private", "--env", "container=docker"]
MACHINE += ["--tmpfs", "/run", "--tmpfs", "/tmp", "--volume", "/var/lib/docker", "--stop-signal", "SIGRTMIN+3"]


def vm_image() -> str:
    """A Debian like Google's, made once from Debian's packages."""
    folder = ROOT / "tests/containers/vm"
    image = f"longshore-test/vm:{hashlib.sha256((folder / 'packages.txt').read_bytes()).hexdigest()[:12]}"
    if not image_exists(image):
        bootstrap(image, folder)
    return image


def docker(*args: str, **options: Any) -> str:
    """Output of a docker command, which must not fail."""
    done = subprocess.run(["docker", *args], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return str(done.stdout).strip()


@contextmanager
def container(*args: str, alias: str = "") -> Iterator[str]:
    """Id of a container in the network, removed at the end."""
    aliases = [part for name in alias.split() for part in ("--network-alias", name)]
    made = docker("run", "--detach", "--network", NETWORK, *aliases, *args)
    try:
        yield made
    finally:
        docker_says("rm", "--force", "--volumes", made)


@dataclass(frozen=True)
class Machine:
    """The VM. state: the files that Google's stand-in answers from. prefect: URL of its server's API, from here."""

    id: str
    state: Path
    image: str
    prefect: str
    token: str = field(repr=False)
    key: str = field(repr=False)

    def sh(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the machine, as root."""
        return subprocess.run(["docker", "exec", self.id, "bash", "-c", command], capture_output=True, text=True)

    def says(self, command: str) -> str:
        """Output of a command that must not fail."""
        done = self.sh(command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def start_up(self) -> subprocess.CompletedProcess[str]:
        """Run the start-up script as the guest agent does: as a service, from a file of its own."""
        docker("cp", str(SCRIPT), f"{self.id}:/tmp-startup-script")
        return self.sh("systemd-run --quiet --collect --wait --pipe --unit google-startup-scripts /tmp-startup-script")

    def give(self, **attributes: str) -> None:
        """Set metadata of the VM, besides what it has."""
        path = self.state / "attributes.json"
        names = {f"longshore-{name.replace('_', '-')}": value for name, value in attributes.items()}
        path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **names}))

    def put_profile(self) -> None:
        """Add a version of the secret."""
        profile = f'PREFECT_API_URL = "http://prefect:4200/api"\nPREFECT_API_KEY = "{self.key}"\n'
        (self.state / "secret").write_text(f'active = "cloud"\n[profiles.cloud]\n{profile}')

    def journal(self) -> str:
        """What service and script have logged since the machine was made."""
        return self.says(f"journalctl --no-pager -o cat -u {SERVICE} -u google-startup-scripts")

    def worker(self) -> str:
        """Id of the container that runs, empty when none does."""
        return self.sh(f"docker ps --quiet --no-trunc --filter name={SERVICE} --filter status=running").stdout.strip()

    def wait_replaced(self, before: str) -> None:
        """Wait until another container runs, and has asked the server for runs."""
        wait_for(lambda: self.worker() not in ("", before), seconds=180)
        self.wait_online(after=self.wait_online())

    def workers(self, pool: str = "cloud-run") -> dict[str, dict[str, Any]]:
        """The pool's workers that the server holds to be online, by name."""
        key = {"Authorization": f"Bearer {self.key}"}
        answer = httpx.post(f"{self.prefect}/work_pools/{pool}/workers/filter", json={}, headers=key)
        found = answer.json() if answer.status_code == 200 else []
        return {worker["name"]: worker for worker in found if worker["status"] == "ONLINE"}

    def wait_online(self, after: str = "", pool: str = "cloud-run") -> str:
        """Wait until the worker has asked the server for runs, later than `after`; when it did."""

        def seen() -> str:
            return max((str(one["last_heartbeat_time"]) for one in self.workers(pool).values()), default="")

        wait_for(lambda: seen() > after, seconds=180)
        return seen()


def answers(url: str) -> bool:
    """Whether a server is up."""
    with suppress(httpx.TransportError):
        return httpx.get(url).status_code == 200
    return False


@contextmanager
def registry(folder: Path, image: str, token: str) -> Iterator[str]:
    """Artifact Registry's stand-in: TLS, and the VM's token as password. Address of it on this machine."""
    (folder / "tls").mkdir(parents=True)
    certificate(folder / "tls", REGISTRY, "127.0.0.1")
    hashed = crypt.crypt(token, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=1 << 5))
    (folder / "htpasswd").write_text(f"oauth2accesstoken:{hashed}\n")
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": "/data"}},
        "http": {"addr": ":443", "tls": {"certificate": "/config/tls/ca.crt", "key": "/config/tls/ca.key"}},
        "auth": {"htpasswd": {"realm": "test", "path": "/config/htpasswd"}},
    }
    (folder / "config.yml").write_text(json.dumps(config))  # YAML includes JSON
    serve = ["--volume", f"{folder}:/config:ro", "--publish", "127.0.0.1::443", image]
    with container(*serve, "docker-registry", "serve", "/config/config.yml", alias=REGISTRY) as made:
        yield docker("port", made, "443")


def push(image: str, address: str, folder: Path, token: str) -> str:
    """Push an image to the registry; its name there, by digest. (On 127.0.0.1 the engine asks for no certificate.)"""
    there = f"{address}/test/longshore/orchestration:test"
    config = ["--config", str(folder / "docker-config")]
    login = ["login", "--username", "oauth2accesstoken", "--password-stdin", address]
    wait_for(
        lambda: subprocess.run(["docker", *config, *login], input=token, text=True, capture_output=True).returncode == 0
    )
    docker("tag", image, there)
    try:
        said = docker(*config, "push", there)
    finally:
        docker_says("rmi", there)
    return f"{REGISTRY}/test/longshore/orchestration@{said.partition('digest: ')[2].split()[0]}"


@contextmanager
def machine(folder: Path, orchestration: str) -> Iterator[Machine]:
    """The VM, booted but not set up; the secret has no version yet."""
    state, key, token = folder / "state", secrets.token_hex(16), f"ya29.{secrets.token_hex(16)}"
    (state / "tls").mkdir(parents=True)
    (state / "token").write_text(token)
    certificate(state / "tls", "secretmanager.googleapis.com", "127.0.0.1")
    shutil.copy(ROOT / "tests/containers/vm/google.py", state)
    state.chmod(0o755)
    (state / "tls/ca.key").chmod(0o644)
    image = vm_image()
    google = ["--volume", f"{state}:/state:ro", orchestration, "python", "/state/google.py"]
    with ExitStack() as stack:
        docker("network", "create", NETWORK)
        stack.callback(docker_says, "network", "rm", NETWORK)
        stack.enter_context(container(*google, alias="metadata.google.internal secretmanager.googleapis.com"))
        address = stack.enter_context(registry(folder / "registry", image, token))
        pushed = push(orchestration, address, folder, token)
        here = f"127.0.0.1:{free_port()}"
        settings = {
            "PREFECT_PASSWORD": key,
            "PREFECT_TOKEN_KEY": new_password("PREFECT_TOKEN_KEY"),
            "PREFECT_SERVER_ENCRYPTION_KEY": new_password("PREFECT_SERVER_ENCRYPTION_KEY"),
            "PREFECT_HOSTS": f"{here},prefect:4200",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_UI_STATIC_DIRECTORY": "/tmp/ui",
        }
        given = [part for name, value in settings.items() for part in ("--env", f"{name}={value}")]
        stack.enter_context(container("--publish", f"{here}:4200", *given, orchestration, alias="prefect"))
        url = f"http://{here}/api"
        vm = stack.enter_context(container(*MACHINE, "--hostname", "longshore-worker-1", image, "sh", "-c", BOOT))
        for authority in (state, folder / "registry"):
            docker("cp", str(authority / "tls/ca.crt"), f"{vm}:/usr/local/share/ca-certificates/{authority.name}.crt")
        made = Machine(vm, state, pushed, url, token, key)
        made.give(image=pushed, pool="cloud-run", pool_type="cloud-run", secret=SECRET)
        wait_for(lambda: made.sh("systemctl is-system-running --wait").stdout.strip() == "running")
        made.says("update-ca-certificates")
        wait_for(lambda: answers(f"{url}/health"), seconds=180)
        yield made
