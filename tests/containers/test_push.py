"""Pushes of small images to a real registry, with TLS and a password, and what can go wrong."""

import hashlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from scripts.docker import docker_says
from scripts.push_images import engine, push, send
from scripts.push_plan import show_plan
from scripts.registry import Registry
from scripts.registry_login import Login, find_login
from scripts.settings import UserError
from tests.containers.pushing import ENV, MB, build, client, noise, pushed, remove_images
from tests.containers.registry import LocalRegistry, local_registry

TALK = MB // 4  # what a push of a few images says besides the blobs


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    """The registry of this module."""
    with local_registry(tmp_path_factory.mktemp("registry")) as found:
        try:
            yield found
        finally:
            remove_images()


@pytest.fixture
def registry(shared: LocalRegistry) -> LocalRegistry:
    """The same, with no image in the engine."""
    remove_images()
    return shared


def test_a_second_push_sends_nothing(registry: LocalRegistry, tmp_path: Path) -> None:
    build(tmp_path, "twice", noise(1), noise(2))
    before = registry.blobs()
    first = pushed(registry, "twice")["twice"]
    kept = {digest: size for digest, size in registry.blobs().items() if digest not in before}
    assert first.sent == sum(size for digest, size in kept.items() if digest != first.digest)
    assert first.there == 0
    assert first.sent < registry.wire.up < first.sent + TALK
    second = pushed(registry, "twice")["twice"]
    assert (second.digest, second.sent, second.there) == (first.digest, 0, first.sent)
    assert registry.wire.up < TALK


def test_the_digest_is_that_of_what_the_registry_keeps(registry: LocalRegistry, tmp_path: Path) -> None:
    build(tmp_path, "digest", noise(0.1))
    digest = pushed(registry, "digest")["digest"].digest
    kept = registry.folder / "data/docker/registry/v2/blobs/sha256" / digest[7:9] / digest[7:] / "data"
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == digest[7:]
    assert "layers" in json.loads(kept.read_text())


def test_only_the_layer_that_changed_is_sent(registry: LocalRegistry, tmp_path: Path) -> None:
    base = noise(3)
    build(tmp_path, "changed", base, noise(0.1))
    pushed(registry, "changed")
    build(tmp_path, "changed", base, noise(0.1))
    again = pushed(registry, "changed")["changed"]
    assert 0.1 * MB < again.sent < registry.wire.up < 0.1 * MB + TALK
    assert again.there == again.layers[0] > 3 * MB


def test_a_layer_that_images_share_is_sent_once(registry: LocalRegistry, tmp_path: Path) -> None:
    base, names = noise(4), ("one", "two", "three", "four")
    for name in names:
        build(tmp_path / name, name, base, noise(0.1))
    found = pushed(registry, *names)
    assert found["one"].sent > 4 * MB
    assert all(found[name].there > 4 * MB for name in names[1:])
    assert registry.wire.up < 4.5 * MB + TALK


def test_an_image_comes_back_by_its_digest(registry: LocalRegistry, tmp_path: Path) -> None:
    content = noise(1)
    local = build(tmp_path, "back", content)
    place = f"{registry.name}/back@{pushed(registry, 'back')['back'].digest}"
    number = docker_says("inspect", "--format", "{{.Id}}", local)
    remove_images()
    assert not docker_says("image", "inspect", number).strip("[]\n")
    config = docker_config(tmp_path / "docker", registry)
    env = {**os.environ, "DOCKER_CONFIG": str(config)}
    subprocess.run(["docker", "pull", "-q", place], env=env, check=True, capture_output=True)
    assert docker_says("inspect", "--format", "{{.Id}}", place) == number
    container = docker_says("create", place)
    try:
        docker_says("cp", f"{container}:/file0", str(tmp_path / "came"))
    finally:
        docker_says("rm", container)
    assert (tmp_path / "came").read_bytes() == content


def docker_config(folder: Path, registry: LocalRegistry) -> Path:
    """A folder of the docker command's settings, after `docker login`."""
    folder.mkdir()
    login = ["docker", "login", "--username", registry.user, "--password-stdin", registry.name.partition("/")[0]]
    env = {**os.environ, "DOCKER_CONFIG": str(folder)}
    subprocess.run(login, input=registry.password, env=env, check=True, capture_output=True, text=True)
    return folder


def test_a_running_docker_login_will_do(
    registry: LocalRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path / "image", "login", noise(0.1))
    config = docker_config(tmp_path / "docker", registry)
    kept = (config / "config.json").read_bytes()
    monkeypatch.setenv("DOCKER_CONFIG", str(config))
    host = registry.name.partition("/")[0]
    (done,) = push(["login"], ENV, Registry(registry.name, find_login(host, {})))
    assert done.digest
    assert (config / "config.json").read_bytes() == kept


def test_a_killed_registry_is_an_error_and_the_next_push_sends_the_rest(
    registry: LocalRegistry, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    build(tmp_path, "resumed", *(noise(mb) for mb in (20, 60, 61)))
    arrived: list[int] = []

    def kill() -> None:
        while not (found := registry.taken("resumed")):
            time.sleep(0.01)
        arrived.extend(found)
        registry.wire.open.clear()  # no other layer gets through
        time.sleep(2)  # by then the engine has noted this one
        registry.kill()
        registry.wire.open.set()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(UserError, match=r"went away\. What has arrived stays"):
        pushed(registry, "resumed")
    killer.join()
    assert "trying again" in capfd.readouterr().out
    registry.start()
    second = pushed(registry, "resumed")["resumed"]
    assert second.there >= sum(arrived) > 20 * MB
    assert second.sent < registry.wire.up < 1.005 * second.sent + TALK
    assert second.sent + second.there > 141 * MB


def test_a_registry_that_comes_back_at_once_is_waited_for(registry: LocalRegistry, tmp_path: Path) -> None:
    build(tmp_path, "slow", noise(0.5), noise(60))

    def restart() -> None:
        while not registry.taken("slow"):
            time.sleep(0.01)
        registry.kill()
        registry.start()

    killer = threading.Thread(target=restart)
    killer.start()
    done = pushed(registry, "slow")["slow"]
    killer.join()
    assert done.digest in registry.blobs()


WRONG = Login("pusher", "not-the-password", "`docker login`")


@pytest.mark.parametrize(
    ("login", "message"),
    [(WRONG, "refuses the login of `docker login`"), (None, "not logged in to .*: `docker login registry.longshore")],
)
def test_a_wrong_password_and_none_are_told_apart(
    registry: LocalRegistry, tmp_path: Path, login: Login | None, message: str
) -> None:
    local = build(tmp_path, "refused", noise(0.1))
    stranger = Registry(registry.name, login)
    with pytest.raises(UserError, match=message) as asked:
        stranger.tags("refused")
    place = f"{registry.name}/refused"
    docker_says("tag", local, f"{place}:{ENV['TAG']}")
    with closing(engine()) as docker, pytest.raises(UserError, match=message) as sent:
        send(docker, place, ENV["TAG"], stranger)
    assert "not-the-password" not in f"{asked.value}{sent.value}{WRONG}"


def test_an_unknown_authority_is_named_with_the_place_for_its_certificate(
    registry: LocalRegistry, tmp_path: Path
) -> None:
    local = build(tmp_path, "untrusted", noise(0.1))
    place = f"{registry.name}/untrusted"
    docker_says("tag", local, f"{place}:{ENV['TAG']}")
    host = registry.name.partition("/")[0]
    ca = Path(f"/etc/docker/certs.d/{host}/ca.crt")
    kept = ca.read_bytes()
    ca.unlink()
    try:
        with pytest.raises(UserError, match=f"not trusted: put .* at {ca}"):
            client(registry).tags("untrusted")
        with closing(engine()) as docker, pytest.raises(UserError, match=f"not trusted: put .* at {ca}"):
            send(docker, place, ENV["TAG"], client(registry))
    finally:
        ca.write_bytes(kept)


def test_nobody_at_the_address_is_said_so(registry: LocalRegistry) -> None:
    registry.kill()
    try:
        with pytest.raises(UserError, match="is not reachable"):
            client(registry).tags("any")
    finally:
        registry.start()
    with pytest.raises(UserError, match="is not reachable"):
        Registry("nobody.longshore.test/longshore", None).tags("any")


def test_a_dry_run_tells_what_would_go_and_sends_nothing(
    registry: LocalRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = noise(1)
    build(tmp_path, "dry", base, noise(0.1))
    before = registry.blobs()
    show_plan(["dry", "unbuilt"], ENV, client(registry))
    said = capsys.readouterr().out
    assert f"{registry.name}/dry:{ENV['TAG']}\n  1 MB, 2 layers: nothing of it is there" in said
    assert "not built yet" in said
    assert registry.blobs() == before
    done = pushed(registry, "dry")["dry"]
    capsys.readouterr()
    show_plan(["dry"], ENV, client(registry))
    assert f"there already, {done.digest}" in capsys.readouterr().out
    build(tmp_path, "dry", base, noise(0.1))
    show_plan(["dry"], ENV, client(registry))
    bytes_there = f"1 there with {ENV['TAG']} ({done.layers[0]:,} bytes)"
    assert f"{bytes_there}, 1 to send (at most {MB // 10:,} bytes before" in capsys.readouterr().out
