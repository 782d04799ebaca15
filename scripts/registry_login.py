"""Who we are for a container registry: what was set, a running `docker login`, or Google's credentials.

A secret goes from where it is kept to the engine's socket and to the registry: on no command line, into no file.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import docker.auth

from scripts.gcp_key import read_key
from scripts.settings import UserError


@dataclass(frozen=True)
class Login:
    """source: where it was found, for messages."""

    user: str
    password: str = field(repr=False)
    source: str


def find_login(host: str, env: Mapping[str, str]) -> Login | None:
    """The login for a registry; None to try without. Google's registry always wants one: there UserError says how."""
    found = from_settings(env) or from_docker(host)
    if found or not is_google(host):
        return found
    if found := from_gcloud() or from_key(env):
        return found
    raise UserError(not_logged_in(host))


def is_google(host: str) -> bool:
    """Artifact Registry?"""
    return host.partition(":")[0].endswith(".pkg.dev")


def not_logged_in(host: str) -> str:
    """What to do about it."""
    if is_google(host):
        return (
            f"not logged in to {host}: `gcloud auth login`, or set GCP_KEY_FILE to a service account's key, "
            f"or `docker login {host}`"
        )
    return f"not logged in to {host}: `docker login {host}`, or set REGISTRY_USER and REGISTRY_PASSWORD in .env"


def from_settings(env: Mapping[str, str]) -> Login | None:
    """REGISTRY_USER and REGISTRY_PASSWORD."""
    user, password = env.get("REGISTRY_USER", ""), env.get("REGISTRY_PASSWORD", "")
    if bool(user) != bool(password):
        raise UserError("REGISTRY_USER and REGISTRY_PASSWORD belong together: set both, or neither")
    return Login(user, password, "REGISTRY_USER and REGISTRY_PASSWORD") if user else None


def from_docker(host: str) -> Login | None:
    """What `docker login` has kept, in its file or with a credential helper."""
    try:
        kept: dict[str, Any] = docker.auth.load_config().resolve_authconfig(host) or {}
    except docker.auth.errors.DockerException as error:  # its own: Prefect loads docker lazily, and may load it twice
        raise UserError(f"`docker login` keeps its passwords with a program that fails: {error}") from error
    entry = {name.lower(): value for name, value in kept.items()}
    if entry.get("identitytoken"):
        raise UserError(
            f"`docker login {host}` has kept an identity token, which `make push` cannot use: "
            "set REGISTRY_USER and REGISTRY_PASSWORD"
        )
    if not entry.get("username"):
        return None
    return Login(entry["username"], entry["password"], f"`docker login {host}`")


def from_gcloud() -> Login | None:
    """A token, good for an hour, of the account that gcloud is logged in with."""
    if not shutil.which("gcloud"):
        return None
    command = ["gcloud", "auth", "print-access-token", "--quiet"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired as error:
        raise UserError("`gcloud auth print-access-token` gave no answer within 60 s") from error
    token = done.stdout.strip()
    return Login("oauth2accesstoken", token, "gcloud") if done.returncode == 0 and token else None


def from_key(env: Mapping[str, str]) -> Login | None:
    """The service account of GCP_KEY_FILE."""
    key = read_key(env.get("GCP_KEY_FILE", ""))
    return Login("_json_key", json.dumps(key), "GCP_KEY_FILE") if key else None
