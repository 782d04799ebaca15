"""A service account's key: the user's, or one for the emulators, which let everybody in."""

import json
from pathlib import Path
from urllib.parse import urlsplit

from scripts.settings import UserError

TOKEN_PORT = 9024  # where tokens for the emulators come from, on the host of the storage emulator


def read_key(path: str) -> dict[str, str] | None:
    """What the key file holds; None for no file or an empty one. Errors never show its content."""
    if not path:
        return None
    try:
        text = Path(path).read_text()
        key = json.loads(text) if text else None
    except PermissionError as error:
        raise UserError(f"GCP_KEY_FILE: {error}. Make it readable for the user who deploys.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"GCP_KEY_FILE: {error}") from error
    except json.JSONDecodeError:
        raise UserError(f"GCP_KEY_FILE: {path} is not JSON. It takes a service account's key file.") from None
    if key is not None and (not isinstance(key, dict) or key.get("type") != "service_account"):
        raise UserError(f"GCP_KEY_FILE: {path} is not the key of a service account.")
    return key


def token_uri(storage: str) -> str:
    """Where tokens come from, beside the storage emulator at this address."""
    return f"http://{urlsplit(storage).hostname}:{TOKEN_PORT}/token"


def local_key(token_uri: str, project: str) -> dict[str, str]:
    """A throw-away key whose tokens come from `token_uri`: clients and blocks take it as they take a real one."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": project,
        "private_key_id": "local",
        "private_key": pem.decode(),
        "client_email": f"longshore@{project}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }
