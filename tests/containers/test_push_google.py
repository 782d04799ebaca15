"""Pushes to what answers as Artifact Registry does: who we are there, and what it refuses."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.gcp_key import local_key
from scripts.push_images import push
from scripts.registry import Registry
from scripts.registry_login import find_login
from scripts.settings import UserError
from tests.containers.artifact_registry import DENIED, NO_REPOSITORY, ArtifactRegistry, artifact_registry
from tests.containers.pushing import ENV, build, noise, remove_images


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArtifactRegistry]:
    """The registry of this module."""
    with artifact_registry(tmp_path_factory.mktemp("registry")) as found:
        try:
            yield found
        finally:
            remove_images()


@pytest.fixture
def google(shared: ArtifactRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArtifactRegistry:
    """The same, with a gcloud that is logged in, and nothing else."""
    shared.accounts, shared.refusal, shared.asked_as = {"oauth2accesstoken": "the-token"}, None, []
    gcloud(tmp_path, "echo the-token", monkeypatch)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-docker-login"))
    return shared


def gcloud(folder: Path, does: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a gcloud first that does this."""
    program = folder / "bin/gcloud"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\n[ "$*" = "auth print-access-token --quiet" ] || exit 2\n{does}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def pushed(google: ArtifactRegistry, tmp_path: Path, env: dict[str, str] | None = None) -> str:
    """Push a small image; its digest."""
    build(tmp_path / "image", "small", noise(0.1))
    host = google.name.partition("/")[0]
    (done,) = push(["small"], ENV, Registry(google.name, find_login(host, env or {})))
    return done.digest


def test_gclouds_token_opens_it(google: ArtifactRegistry, tmp_path: Path) -> None:
    assert pushed(google, tmp_path).startswith("sha256:")
    assert set(google.asked_as) == {"oauth2accesstoken"}
    assert not (tmp_path / "no-docker-login").exists()


def test_a_key_opens_it_where_gcloud_is_not_logged_in(
    google: ArtifactRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcloud(tmp_path, "echo 'no account' >&2; exit 1", monkeypatch)
    key = tmp_path / "key.json"
    key.write_text(json.dumps(local_key("https://example.org/token", "longshore")))
    google.accounts = {"_json_key": json.dumps(json.loads(key.read_text()))}
    assert pushed(google, tmp_path, {"GCP_KEY_FILE": str(key)}).startswith("sha256:")
    assert set(google.asked_as) == {"_json_key"}


def test_nobody_is_told_how_to_log_in(
    google: ArtifactRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcloud(tmp_path, "exit 1", monkeypatch)
    with pytest.raises(UserError, match=r"not logged in to nowhere1-docker.pkg.dev:\d+: `gcloud auth login`, or set"):
        pushed(google, tmp_path)


def test_an_expired_token_is_refused_by_name(
    google: ArtifactRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcloud(tmp_path, "echo the-old-token", monkeypatch)
    with pytest.raises(UserError, match="refuses the login of gcloud") as refused:
        pushed(google, tmp_path)
    assert "the-old-token" not in str(refused.value)


def test_who_may_not_push_is_told_which_role_is_missing(google: ArtifactRegistry, tmp_path: Path) -> None:
    google.refusal = DENIED
    with pytest.raises(UserError, match=r"no permission to push to .*gcloud.*roles/artifactregistry\.writer"):
        pushed(google, tmp_path)


def test_a_repository_that_is_not_there_is_named(google: ArtifactRegistry, tmp_path: Path) -> None:
    google.refusal = NO_REPOSITORY
    with pytest.raises(UserError, match=f"no such repository: {google.name}"):
        pushed(google, tmp_path)


def test_the_engines_own_words_for_it_mean_the_same(google: ArtifactRegistry, tmp_path: Path) -> None:
    google.refusal = (404, "NAME_UNKNOWN", 'Repository "other" not found')
    with pytest.raises(UserError, match=f"no such repository: {google.name}"):
        pushed(google, tmp_path)
