"""A container registry, as the scripts ask it."""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import requests
from dxf import DXF, DXFBase
from dxf.exceptions import DXFError, DXFUnauthorizedError

from scripts.registry_errors import messages, problem
from scripts.registry_login import Login, is_google
from scripts.settings import UserError

CERTS = Path("/etc/docker/certs.d")  # where the engine looks for a registry's own authority
SECONDS = 60
EXAMPLE = "REGION-docker.pkg.dev/PROJECT/REPOSITORY"
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Manifest:
    """An image as the registry keeps it. layers: (digest, compressed bytes), the base's first; config: the same."""

    digest: str
    config: tuple[str, int]
    layers: tuple[tuple[str, int], ...]


def parse(registry: str) -> tuple[str, str]:
    """Host and folder of the setting REGISTRY. Raises UserError."""
    if not registry:
        raise UserError(
            f"REGISTRY is not set. Say where the images go: `make push REGISTRY={EXAMPLE}`, or REGISTRY in .env; "
            "with ENVIRONMENT=cloud it is read from Terraform (`make outputs`)."
        )
    host, _, folder = registry.partition("/")
    if not re.fullmatch(r"localhost|[\w-]+[.:][\w.:-]+", host) or not re.fullmatch(
        r"([a-z0-9._-]+/?)*[a-z0-9]|", folder
    ):
        raise UserError(f"REGISTRY={registry}: it is HOST/FOLDER, such as {EXAMPLE}, in lower case, without https://")
    if is_google(host) and "/" not in folder:
        raise UserError(f"REGISTRY={registry} names no repository: it is {EXAMPLE}")
    return host, folder


@dataclass(frozen=True)
class Registry:
    """name: the setting REGISTRY. login: None asks as nobody in particular. All methods raise UserError."""

    name: str
    login: Login | None

    def manifest(self, image: str, reference: str) -> Manifest | None:
        """What is kept under a tag or digest, None for nothing."""
        answer = self.ask(image, lambda client: client.get_manifest_and_response(reference))
        if answer is None:
            return None
        digest, found = answer[1].headers["Docker-Content-Digest"], json.loads(answer[0])
        if "manifests" in found:  # an index: BuildKit adds a manifest of no platform that tells how it was built
            chosen = next(one for one in found["manifests"] if one["platform"]["os"] != "unknown")
            inner = self.manifest(image, chosen["digest"])
            return inner and Manifest(digest, inner.config, inner.layers)
        sizes = [(one["digest"], one["size"]) for one in (found["config"], *found["layers"])]
        return Manifest(digest, sizes[0], tuple(sizes[1:]))

    def contents(self, image: str, manifest: Manifest) -> list[str]:
        """Digests of the layers before compression, as the engine knows them (`rootfs.diff_ids`)."""
        blob = self.ask(image, lambda client: b"".join(cast(Iterable[bytes], client.pull_blob(manifest.config[0]))))
        found: dict[str, Any] = json.loads(blob or b"{}")
        return list(found.get("rootfs", {}).get("diff_ids", []))

    def tags(self, image: str) -> set[str]:
        """Tags of the image, none where nothing was pushed."""
        return set(self.ask(image, lambda client: client.list_aliases()) or [])

    def ask(self, image: str, question: Callable[[DXF], Answer]) -> Answer | None:
        """The answer, None for 404."""
        try:
            return question(self.client(image))
        except requests.HTTPError as error:
            status, said = (error.response.status_code, error.response.text) if error.response is not None else (0, "")
            # Elsewhere an unknown name is only an image that was never pushed.
            no_repository = is_google(self.name.partition("/")[0]) and "NAME_UNKNOWN" in said
            if status == 404 and not no_repository:
                return None
            raise self.problem(messages(said) or str(error)) from None
        except DXFUnauthorizedError:
            raise self.problem("unauthorized") from None
        except (DXFError, requests.RequestException) as error:
            raise self.problem(str(error)) from None

    def client(self, image: str) -> DXF:
        """A client for the image's place."""
        host, folder = parse(self.name)
        user, password = (self.login.user, self.login.password) if self.login else (None, None)

        def log_in(client: DXFBase, response: requests.Response) -> None:
            client.authenticate(user, password, response=response)

        return DXF(host, f"{folder}/{image}".lstrip("/"), log_in, tlsverify=trusted(host), timeout=SECONDS)

    def problem(self, said: str) -> UserError:
        """The error for a person."""
        return problem(said, self.name, self.login)


def trusted(host: str, env: Mapping[str, str] = os.environ) -> str | bool:
    """The authorities to trust: those the engine has for this registry, else the environment's."""
    own = sorted((CERTS / host).glob("*.crt"))
    return str(own[0]) if own else env.get("SSL_CERT_FILE") or True
