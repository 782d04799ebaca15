"""Small images to push, and what a push of them takes."""

import secrets
import subprocess
from fnmatch import fnmatch
from pathlib import Path

from scripts.docker import docker_says
from scripts.push_images import Pushed, push
from scripts.registry import Registry
from scripts.registry_login import Login
from tests.containers.conftest import inspect
from tests.containers.registry import LocalRegistry

MB = 1 << 20
PLACES = ("longshore-push-test", "registry.longshore.test*/longshore", "nowhere1-docker.pkg.dev*/*/*")
ENV = {"TAG": "0123456789ab", "IMAGE_PREFIX": PLACES[0]}


def noise(mb: float) -> bytes:
    """Bytes that do not compress."""
    return secrets.token_bytes(int(mb * MB))


def build(folder: Path, name: str, *layers: bytes) -> str:
    """An image with a file for each layer; its full name."""
    image = f"{ENV['IMAGE_PREFIX']}/{name}:{ENV['TAG']}"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["FROM scratch", 'CMD ["none"]']
    for number, content in enumerate(layers):
        (folder / f"file{number}").write_bytes(content)
        lines.append(f"COPY file{number} /")
    (folder / "Dockerfile").write_text("\n".join(lines))
    done = subprocess.run(["docker", "build", "-q", "-t", image, "."], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return image


def client(registry: LocalRegistry) -> Registry:
    """Logged in as the one who may push."""
    return Registry(registry.name, Login(registry.user, registry.password, "REGISTRY_USER and REGISTRY_PASSWORD"))


def pushed(registry: LocalRegistry, *names: str) -> dict[str, Pushed]:
    """Push, with the counts of the wire begun anew."""
    registry.wire.reset()
    return {one.name: one for one in push(names, ENV, client(registry))}


def remove_images(*prefixes: str) -> None:
    """Take away the engine's images below these prefixes (default: all from here), by all their names."""
    for prefix in prefixes or PLACES:
        for number in set(docker_says("images", "--quiet", "--no-trunc", f"{prefix}/*").split()):
            found = inspect(number)
            names = [*found["RepoTags"], *found["RepoDigests"]]
            docker_says("rmi", *(name for name in names if fnmatch(name, f"{prefix}/*")))
