"""Settings: the environment, then .env, then .env.example; and the making of .env.

scripts/environment.py puts what differs from place to place in between.
"""

import os
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PASSWORDS = ("POSTGRES_PASSWORD", "PREFECT_DB_PASSWORD", "WAREHOUSE_PASSWORD")


class UserError(Exception):
    """Something that the reader of the message can put right."""


def read_env(path: Path) -> dict[str, str]:
    """NAME=value lines of a file; none when there is no file."""
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}


def settings(over: Mapping[str, str] | None = None) -> dict[str, str]:
    """Every setting by name, with the empty ones that can be found out filled in; `over` wins over the files."""
    known = {**read_env(ROOT / ".env.example"), **read_env(ROOT / ".env"), **(over or {})}
    found = {**known, **{name: value for name, value in os.environ.items() if name not in known or value}}
    found["TAG"] = found.get("TAG") or image_tag()
    found["DOCKER_GID"] = found.get("DOCKER_GID") or socket_group(found.get("DOCKER_SOCKET", ""))
    found["GCP_KEY_UID"] = found.get("GCP_KEY_UID") or key_owner(found.get("GCP_KEY_FILE", ""))
    found["EXTRA_CA_FILE"] = found.get("EXTRA_CA_FILE") or os.environ.get("SSL_CERT_FILE", "")
    port = found.get("PREFECT_PORT", "4200")
    found["PREFECT_API_URL"] = found.get("PREFECT_API_URL") or f"http://127.0.0.1:{port}/api"
    return found


def need(found: dict[str, str], *names: str) -> list[str]:
    """The values of settings that must not be empty."""
    if missing := [name for name in names if not found.get(name)]:
        raise UserError(f"not set: {', '.join(missing)} (see .env.example; `make up` writes .env)")
    return [found[name] for name in names]


def image_tag() -> str:
    """The git revision, twelve digits, with -dirty where files differ: a tag never means two things."""

    def git(*args: str) -> str:
        return subprocess.run(["git", *args], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("-dirty" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unversioned"


def socket_group(socket: str) -> str:
    """Number of the group that owns the Docker socket; root's where there is none."""
    path = Path(socket)
    return str(path.stat().st_gid) if socket and path.exists() else "0"


def key_owner(key: str) -> str:
    """Number of the user who owns the key file; where there is none, of the images' own user."""
    path = Path(key)
    return str(path.stat().st_uid) if key and path.exists() else "10001"


def write_setting(name: str, value: str, path: Path = ROOT / ".env") -> None:
    """Set one line of .env, which is made first where there is none."""
    make_env(path)
    lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{name}=")]
    path.write_text("\n".join([*lines, f"{name}={value}"]) + "\n")


def make_env(path: Path = ROOT / ".env") -> bool:
    """Write .env from .env.example with generated passwords; an existing file is left alone. True when written."""
    if path.exists():
        return False
    text = (ROOT / ".env.example").read_text()
    for name in PASSWORDS:
        text = text.replace(f"\n{name}=\n", f"\n{name}={secrets.token_hex(16)}\n")
    # Made with its final mode, so that no one can read it in between.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return True
