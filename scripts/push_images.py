"""Push images of the engine to a registry, and count what went over the line."""

import os
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import requests
from docker.errors import APIError, DockerException

import docker
from scripts.docker import docker_says
from scripts.images import image_name
from scripts.registry import Manifest, Registry
from scripts.settings import UserError

SIDE_BY_SIDE = 4
SILENCE = 900  # s without a word from the engine


@dataclass(frozen=True)
class Pushed:
    """One image in the registry. sent: bytes of the blobs that went over the line; there: of those that did not."""

    name: str
    digest: str
    layers: tuple[int, ...]
    sent: int
    there: int
    seconds: float


def push(names: Iterable[str], env: Mapping[str, str], registry: Registry) -> list[Pushed]:
    """Push these images of the engine; a line for each. Raises UserError when not all arrived."""
    first, *rest = names
    # One goes ahead: what the others share with it is there by then, and is not sent several times at once.
    done = [push_one(first, env, registry)]
    failed = []
    pool = ThreadPoolExecutor(SIDE_BY_SIDE)  # not `with`: that would let Ctrl-C wait until all have arrived
    running = {name: pool.submit(push_one, name, env, registry) for name in rest}
    for name, future in running.items():
        try:
            done.append(future.result())
        except UserError as error:
            failed.append(f"{name}: {error}")
    pool.shutdown()
    if failed:
        raise UserError("\n".join(failed))
    return done


def push_one(name: str, env: Mapping[str, str], registry: Registry) -> Pushed:
    """Push one image, ask the registry what it has now, print a line."""
    started = time.monotonic()
    tag, local, place = env["TAG"], image_name(name, env), f"{registry.name}/{name}"
    before = registry.manifest(name, tag)
    try:
        with closing(engine()) as client:
            client.api.tag(local, place, tag)
            contents: list[str] = client.api.inspect_image(local)["RootFS"]["Layers"]
            digest, states = send(client, place, tag, registry)
    except APIError as error:  # the registry's word, when the engine had said nothing yet
        raise registry.problem(str(error.explanation or error)) from error
    except (DockerException, requests.RequestException) as error:
        raise UserError(f"the Docker engine gives no answer: {error}") from error
    after = registry.manifest(name, tag)
    if after is None or after.digest != digest:
        raise UserError(f"{place}:{tag} is not what was pushed ({digest}): does somebody else push this tag? Try again")
    pushed = count(name, after, before, contents, states, time.monotonic() - started)
    print(line(pushed), flush=True)
    return pushed


def engine() -> docker.DockerClient:
    """The engine that the docker command talks to, which may be a context's."""
    if os.environ.get("DOCKER_HOST"):
        return docker.from_env(timeout=SILENCE)
    address = docker_says("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    return docker.DockerClient(base_url=address or None, timeout=SILENCE)


def send(client: docker.DockerClient, place: str, tag: str, registry: Registry) -> tuple[str, dict[str, str]]:
    """Let the engine push. Digest of the manifest, and what became of each layer, by the first digits of its digest."""
    login = registry.login
    # Through the engine's socket: no command line and no file sees the password.
    auth = {"username": login.user, "password": login.password} if login else {}
    digest, states = "", dict[str, str]()
    for said in client.api.push(place, tag, stream=True, decode=True, auth_config=auth):
        if "error" in said:
            raise registry.problem(said["error"])
        if "id" in said:
            if said["status"].startswith("Retrying") and not states.get(said["id"], "").startswith("Retrying"):
                print(f"{place}: a layer was not taken, trying again", flush=True)
            states[said["id"]] = said["status"]
        digest = (said.get("aux") or {}).get("Digest", digest)
    return digest, states


def count(
    name: str, after: Manifest, before: Manifest | None, contents: list[str], states: Mapping[str, str], seconds: float
) -> Pushed:
    """What was sent and what was there, in bytes as the registry keeps them."""
    sent = 0
    for (digest, size), content in zip(after.layers, contents, strict=True):
        # The engine names a layer by its content's digest, or, with containerd's store, by the compressed one's.
        known = {one.removeprefix("sha256:")[:12] for one in (digest, content)}
        sent += size if any(states.get(one) == "Pushed" for one in known) else 0
    layers = tuple(size for _, size in after.layers)
    config = after.config[1]
    sent += config if before is None or before.config != after.config else 0
    return Pushed(name, after.digest, layers, sent, sum(layers) + config - sent, seconds)


def line(pushed: Pushed) -> str:
    """One image's line."""
    layers = " + ".join(f"{size:,}" for size in pushed.layers)
    return (
        f"{pushed.name:16} sent {pushed.sent:>12,} bytes, there already {pushed.there:>12,}, {pushed.seconds:5.1f} s"
        f"\n  {pushed.digest}\n  layers: {layers}"
    )
