"""`make push` as a person runs it, with the real images: first, again, after a change of a flow."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scripts.docker import docker_says
from scripts.push import images as pushed_images
from scripts.settings import ROOT, settings
from tests.containers.conftest import inside
from tests.containers.pushing import remove_images
from tests.containers.registry import LocalRegistry, local_registry

PREFIX = "longshore-push-images"
KB = 1000
MISSING = "web-to-gcs"  # not built yet


@dataclass
class Clone:
    """A clean clone of what is being tested, and its settings."""

    tree: Path
    env: dict[str, str] = field(repr=False)

    def git(self, *args: str) -> str:
        who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        done = subprocess.run(["git", *who, *args], cwd=self.tree, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def make(self, target: str, **env: str) -> subprocess.CompletedProcess[str]:
        command = ["make", target]
        return subprocess.run(command, cwd=self.tree, env={**self.env, **env}, capture_output=True, text=True)

    def noted(self) -> dict[str, str]:
        """Digest by image, as `make push` noted them."""
        found = json.loads((self.tree / "pushed-images.json").read_text())
        assert found["revision"] == self.git("rev-parse", "--short=12", "HEAD")
        assert found["registry"] == self.env["REGISTRY"]
        return {name: place.rpartition("@")[2] for name, place in found["images"].items()}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    """An empty one."""
    with local_registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture(scope="module")
def clone(registry: LocalRegistry, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """The files as they are, committed. `images`: so that their packages are in the build's cache."""
    tree = tmp_path_factory.mktemp("clone")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    (tree / ".venv").symlink_to(ROOT / ".venv")
    (tree / ".git/info").mkdir(parents=True)
    (tree / ".git/info/exclude").write_text(".venv\n")
    bases = {name: settings()[name] for name in ("BASE_IMAGE", "POSTGRES_IMAGE")}
    env = {**os.environ, **bases, **registry.settings(), "IMAGE_PREFIX": PREFIX, "TAG": "", "IMAGES_FILE": ""}
    made = Clone(tree, env)
    made.git("init", "--quiet")
    made.git("add", "--all")
    made.git("commit", "--quiet", "--message", "All there is")
    tag = made.git("rev-parse", "--short=12", "HEAD")
    for name in set(pushed_images()) - {MISSING}:
        docker_says("tag", images[name], f"{PREFIX}/{name}:{tag}")
    try:
        yield made
    finally:
        remove_images(PREFIX, f"{registry.name}")


@dataclass
class Step:
    """A `make push`. sent: bytes by image, as printed. wire: bytes that went to the registry. blobs: its, after."""

    sent: dict[str, int]
    wire: int
    blobs: dict[str, int]
    noted: dict[str, str]
    said: str


def step(clone: Clone, registry: LocalRegistry) -> Step:
    """Push, and see what came of it."""
    registry.wire.reset()
    done = clone.make("push")
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    found = re.findall(r"^(\S+) +sent +([\d,]+) bytes, there already", done.stdout, re.MULTILINE)
    sent = {name: int(number.replace(",", "")) for name, number in found}
    return Step(sent, registry.wire.up, registry.blobs(), clone.noted(), done.stdout + done.stderr)


@dataclass
class Pushes:
    """In order: a dry run, the first push, a second; all flows changed, refused; committed, refused; a third push."""

    plan: subprocess.CompletedProcess[str]
    first: Step
    again: Step
    dirty: subprocess.CompletedProcess[str]
    stranger: subprocess.CompletedProcess[str]
    noted_then: str
    changed: Step


@pytest.fixture(scope="module")
def pushes(clone: Clone, registry: LocalRegistry) -> Pushes:
    """All of them, once: they take minutes."""
    plan, first, again = clone.make("push-dry-run"), step(clone, registry), step(clone, registry)
    for flow in (clone.tree / "jobs").glob("*/flow.py"):
        flow.write_text(flow.read_text() + "\nCHANGED = True\n")
    dirty = clone.make("push")
    clone.git("commit", "--quiet", "--all", "--message", "A change")
    stranger = clone.make("push", REGISTRY_PASSWORD="wrong")
    noted = (clone.tree / "pushed-images.json").read_text()
    return Pushes(plan, first, again, dirty, stranger, noted, step(clone, registry))


def test_what_is_missing_is_built_and_every_blob_is_sent_once(pushes: Pushes) -> None:
    assert pushes.plan.returncode == 0, pushes.plan.stderr
    assert pushes.plan.stdout.count("not built yet") == 1
    first = pushes.first
    assert re.findall(r"image 1 of 1: (\S+) is built", first.said) == [MISSING]
    assert sorted(first.sent) == sorted(first.noted) == sorted(pushed_images())
    kept = sum(size for digest, size in first.blobs.items() if digest not in first.noted.values())
    assert sum(first.sent.values()) == kept
    assert kept < first.wire < 1.01 * kept


def test_a_second_push_sends_nothing(pushes: Pushes) -> None:
    assert set(pushes.again.sent.values()) == {0}
    assert pushes.again.wire < 200 * KB
    assert (pushes.again.blobs, pushes.again.noted) == (pushes.first.blobs, pushes.first.noted)


def test_a_change_of_flows_is_a_push_of_at_most_200_kb_an_image(pushes: Pushes) -> None:
    changed = pushes.changed
    assert sorted(changed.sent) == sorted(pushed_images())
    assert 0 < min(changed.sent.values()) <= max(changed.sent.values()) <= 200 * KB
    assert sum(changed.sent.values()) < changed.wire < len(pushed_images()) * 200 * KB
    assert not set(changed.noted.values()) & set(pushes.first.noted.values())


def test_a_change_that_is_not_committed_is_refused_by_name(pushes: Pushes) -> None:
    assert pushes.dirty.returncode
    assert " M jobs/web_to_gcs/flow.py" in pushes.dirty.stderr


def test_a_push_that_fails_leaves_the_noted_digests_alone(pushes: Pushes) -> None:
    assert pushes.stranger.returncode
    assert "refuses the login of REGISTRY_USER" in pushes.stranger.stderr
    assert json.loads(pushes.noted_then)["images"]["web-to-gcs"].endswith(pushes.first.noted["web-to-gcs"])


def test_the_password_is_never_shown(pushes: Pushes, registry: LocalRegistry) -> None:
    done = (pushes.plan, pushes.dirty, pushes.stranger)
    said = "".join(one.stdout + one.stderr for one in done) + pushes.first.said + pushes.changed.said
    assert registry.name in said
    assert registry.password not in said


def test_a_pushed_job_comes_back_by_its_digest_and_runs(
    pushes: Pushes, registry: LocalRegistry, tmp_path: Path
) -> None:
    place = f"{registry.name}/web-to-gcs@{pushes.changed.noted['web-to-gcs']}"
    number = docker_says("inspect", "--format", "{{.Id}}", place)
    assert number
    remove_images(PREFIX, registry.name)
    assert docker_says("image", "inspect", "--format", "{{.Id}}", number) == ""
    env = {**os.environ, "DOCKER_CONFIG": str(tmp_path)}
    login = ["docker", "login", "--username", registry.user, "--password-stdin", registry.name.partition("/")[0]]
    subprocess.run(login, input=registry.password, env=env, check=True, capture_output=True, text=True)
    subprocess.run(["docker", "pull", "--quiet", place], env=env, check=True, capture_output=True)
    assert docker_says("inspect", "--format", "{{.Id}}", place) == number
    assert "True" in inside(place, "python", "-c", "from jobs.web_to_gcs.flow import CHANGED; print(CHANGED)")
    assert "python -m jobs.web_to_gcs" in inside(place, "python", "-m", "jobs.web_to_gcs", "--help")
