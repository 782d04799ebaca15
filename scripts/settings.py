"""Settings: the environment, then .env, then .env.example; and the making of .env.

scripts/environment.py puts what differs between environments in between.
"""

import base64
import io
import os
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path

from dotenv import set_key
from dotenv.parser import parse_stream

ROOT = Path(__file__).resolve().parent.parent
ENCRYPTION_KEY = "PREFECT_SERVER_ENCRYPTION_KEY"
PASSWORDS = (  # what `make up` generates
    "POSTGRES_PASSWORD",
    "PREFECT_DB_PASSWORD",
    "WAREHOUSE_PASSWORD",
    "WAREHOUSE_READER_PASSWORD",
    "PREFECT_PASSWORD",
    "PREFECT_TOKEN_KEY",
    ENCRYPTION_KEY,
)


class UserError(Exception):
    """Something that the reader of the message can put right."""


def read_env(path: Path) -> dict[str, str]:
    """Names and values of a file: quotes, `export` and comments are understood, `$` means itself. No file: none."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    found: dict[str, str] = {}
    for one in parse_stream(io.StringIO(text)):
        if one.error or (one.key and one.value is None):
            before = len(one.original.string) - len(one.original.string.lstrip())  # empty lines count as its own
            line = one.original.line + one.original.string[:before].count("\n")
            # Without the line itself: it may hold a password.
            raise UserError(f"{path}, line {line}: not NAME=value, or a quote that does not end")
        if one.key:
            found[one.key] = one.value or ""
    return found


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
    if own_server(found):
        found["PREFECT_API_KEY"] = found.get("PREFECT_API_KEY") or found.get("PREFECT_PASSWORD", "")
    return found


def own_server(found: Mapping[str, str]) -> bool:
    """Whether the API is that of our own stack on this machine."""
    port = found.get("PREFECT_PORT", "4200")
    return found.get("PREFECT_API_URL", "") in (f"http://{host}:{port}/api" for host in ("127.0.0.1", "localhost"))


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
    if not path.exists():
        fill_env(path)
    try:
        # A new file in the old one's place, with its mode: killed within, the old one is still whole.
        set_key(path, name, value, quote_mode="never", follow_symlinks=True)
    except OSError as error:
        raise unwritable(path, error) from error


def fill_env(path: Path = ROOT / ".env") -> list[str]:
    """Have .env, made of .env.example, and in it the passwords that it lacks; a set one stays. Those generated."""
    if not path.exists():
        try:
            # Made with its final mode, so that no one can read it in between.
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write((ROOT / ".env.example").read_text())
        except OSError as error:
            raise unwritable(path, error) from error
    there = read_env(path)
    lacking = [name for name in PASSWORDS if not there.get(name)]
    for name in lacking:
        write_setting(name, new_password(name), path)
    return lacking


def new_password(name: str) -> str:
    """A value for one of PASSWORDS: hexadecimal, which needs no quotes anywhere; a Fernet key where it must be one."""
    if name == ENCRYPTION_KEY:
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    return secrets.token_hex(16)


def unwritable(path: Path, error: OSError) -> UserError:
    """What to say of a file that cannot be written."""
    return UserError(f"cannot write {path}: {error.strerror}. Use a checkout of your own that can be written to.")
