"""`make push`: what is refused before anything is sent, who we are, and the file of digests."""

import base64
import json
import subprocess
from pathlib import Path

import pytest

from scripts.gcp_key import local_key
from scripts.push import refuse_dirty, write
from scripts.push_images import Pushed
from scripts.push_plan import newest
from scripts.registry import parse
from scripts.registry_errors import problem
from scripts.registry_login import Login, find_login
from scripts.settings import UserError

GOOGLE = "europe-west1-docker.pkg.dev"
DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `docker login`, on a machine without gcloud."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def program(home: Path, name: str, does: str) -> None:
    """A program on the PATH."""
    path = home / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)


def logged_in(home: Path, host: str) -> None:
    """What `docker login` leaves where it has no helper."""
    auth = base64.b64encode(b"me:mine").decode()
    (home / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))


@pytest.mark.parametrize(
    ("registry", "parts"),
    [
        (f"{GOOGLE}/project/jobs", (GOOGLE, "project/jobs")),
        (f"{GOOGLE}/example.com/project/jobs", (GOOGLE, "example.com/project/jobs")),
        ("registry.example.org:5000", ("registry.example.org:5000", "")),
        ("localhost/jobs", ("localhost", "jobs")),
    ],
)
def test_a_registry_is_a_host_and_a_folder(registry: str, parts: tuple[str, str]) -> None:
    assert parse(registry) == parts


@pytest.mark.parametrize(
    ("registry", "message"),
    [
        ("", "REGISTRY is not set.*make push REGISTRY="),
        (f"https://{GOOGLE}/project/jobs", "without https://"),
        (f"{GOOGLE}/Project/jobs", "in lower case"),
        ("project/jobs", "it is HOST/FOLDER"),
        (f"{GOOGLE}/project", "names no repository"),
    ],
)
def test_what_is_no_registry_is_refused_with_an_example(registry: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        parse(registry)
    assert "REGION-docker.pkg.dev/PROJECT/REPOSITORY" in str(refused.value)


def test_what_is_set_wins_over_docker_login(home: Path) -> None:
    logged_in(home, "registry.example.org")
    found = find_login("registry.example.org", {"REGISTRY_USER": "set", "REGISTRY_PASSWORD": "secret"})
    assert found is not None
    assert (found.user, found.password) == ("set", "secret")
    assert "secret" not in repr(found)
    with pytest.raises(UserError, match="belong together"):
        find_login("registry.example.org", {"REGISTRY_USER": "set"})


def test_docker_login_wins_over_gcloud_and_gcloud_over_a_key(home: Path) -> None:
    key = home / "key.json"
    key.write_text(json.dumps(local_key("https://example.org/token", "project")))
    env = {"GCP_KEY_FILE": str(key)}

    def user() -> str:
        found = find_login(GOOGLE, env)
        return found.user if found else ""

    assert user() == "_json_key"
    program(home, "gcloud", "echo token")
    assert user() == "oauth2accesstoken"
    logged_in(home, GOOGLE)
    assert user() == "me"


def test_a_credential_helper_is_asked(home: Path) -> None:
    program(
        home, "docker-credential-test", 'read host; echo "{\\"Username\\": \\"helped\\", \\"Secret\\": \\"$host\\"}"'
    )
    (home / "config.json").write_text(json.dumps({"credHelpers": {GOOGLE: "test"}}))
    found = find_login(GOOGLE, {})
    assert found is not None
    assert (found.user, found.password) == ("helped", GOOGLE)


def test_a_credential_helper_that_is_not_there_is_said_so(home: Path) -> None:
    (home / "config.json").write_text(json.dumps({"credsStore": "nowhere"}))
    with pytest.raises(UserError, match=r"a program that fails.*nowhere"):
        find_login("registry.example.org", {})


def test_elsewhere_than_at_google_one_may_ask_as_nobody(home: Path) -> None:
    assert find_login("registry.example.org", {}) is None
    with pytest.raises(UserError, match="gcloud auth login"):
        find_login(GOOGLE, {})


SAID = [
    ("unauthorized: authentication required", "refuses the login of gcloud"),
    ("no basic auth credentials", "not logged in"),
    ('denied: Permission "artifactregistry.repositories.uploadArtifacts" denied on resource "x"', "no permission"),
    ("denied: Unauthenticated request. Unauthenticated requests do not have permission", "not logged in"),
    ('name unknown: Repository "jobs" not found', "no such repository"),
    ('Get "https://x/v2/": x509: certificate signed by unknown authority', "not trusted"),
    ('Get "https://x/v2/": dial tcp: lookup x: no such host', "not reachable"),
    ('Patch "https://x/v2/a/blobs/uploads/1?_state=secret": EOF', "went away"),
    ("toomanyrequests: quota exceeded", "says no"),
]


@pytest.mark.parametrize(("said", "means"), SAID)
def test_a_refusal_says_what_it_means_and_the_registrys_own_words(said: str, means: str) -> None:
    text = str(problem(said, f"{GOOGLE}/project/jobs", Login("oauth2accesstoken", "token", "gcloud")))
    assert means in text
    assert said.partition("?")[0] in text
    assert "secret" not in text


def git(tree: Path, *args: str) -> None:
    subprocess.run(["git", "-C", str(tree), *args], check=True, capture_output=True)


def test_a_dirty_tree_is_refused_and_its_files_are_named(tmp_path: Path) -> None:
    git(tmp_path, "init")
    refuse_dirty(tmp_path)
    for number in range(12):
        (tmp_path / f"new{number:02}.py").touch()
    with pytest.raises(UserError, match=r"DIRTY=1") as refused:
        refuse_dirty(tmp_path)
    assert "?? new00.py" in str(refused.value)
    assert "and 2 more" in str(refused.value)


def test_a_tree_without_git_has_no_revision_to_push(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="git does not know this tree"):
        refuse_dirty(tmp_path)


def test_the_digests_are_noted_as_image_names(tmp_path: Path) -> None:
    path = tmp_path / "pushed-images.json"
    path.write_text("old")
    write([Pushed("web-to-gcs", DIGEST, (1, 2), 3, 0, 0.1)], "0123456789ab", "example.org/jobs", path)
    assert json.loads(path.read_text()) == {
        "revision": "0123456789ab",
        "registry": "example.org/jobs",
        "images": {"web-to-gcs": f"example.org/jobs/web-to-gcs@{DIGEST}"},
    }
    assert [one.name for one in tmp_path.iterdir()] == ["pushed-images.json"]


def test_a_dry_run_compares_with_the_newest_revision_that_was_pushed(tmp_path: Path) -> None:
    git(tmp_path, "init")
    for name in ("first", "second", "third"):
        git(tmp_path, "-c", "user.name=x", "-c", "user.email=x@y.z", "commit", "--allow-empty", "-m", name)
    log = ["git", "-C", str(tmp_path), "log", "--format=%H"]
    third, second, first = subprocess.run(log, check=True, capture_output=True, text=True).stdout.split()
    assert third != second
    assert newest({first[:12], second[:12], "v1"}, tmp_path) == second[:12]
    assert newest({"v1"}, tmp_path) == ""
