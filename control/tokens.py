"""A run's token: what its run may ask of Prefect's API, signed and not stored.

The worker makes it, the server's guard reads it. Whoever holds the key can make one; nobody else can change one.
"""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Claims:
    """What a token says. run, deployment: ids, deployment empty where there is none; blocks: TYPE-SLUG/NAME that the
    run may read; starts: FLOW/DEPLOYMENT that it may start runs of; expires: seconds since 1970.
    """

    run: str
    deployment: str
    blocks: tuple[str, ...]
    starts: tuple[str, ...]
    expires: int


def sign(key: str, claims: Claims) -> str:
    """The token, in characters that a header and an environment variable take."""
    body = urlsafe_b64encode(json.dumps(asdict(claims), separators=(",", ":")).encode()).decode()
    return f"{body}.{_seal(key, body)}"


def verify(key: str, token: str) -> Claims | None:
    """What a token says, once its seal is seen to be of this key; else None. Whether it has expired is not asked."""
    body, _, seal = token.partition(".")
    if not hmac.compare_digest(_seal(key, body).encode(), seal.encode()):
        return None
    said = json.loads(urlsafe_b64decode(body))
    return Claims(**{**said, "blocks": tuple(said["blocks"]), "starts": tuple(said["starts"])})


def _seal(key: str, body: str) -> str:
    if not key:
        raise ValueError("PREFECT_TOKEN_KEY is empty: anybody could make a token")
    return urlsafe_b64encode(hmac.digest(key.encode(), body.encode(), hashlib.sha256)).decode().rstrip("=")
