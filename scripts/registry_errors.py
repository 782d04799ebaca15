"""What a refusal of a container registry means, and what to do about it."""

import json
import re

from scripts.registry_login import Login, is_google, not_logged_in
from scripts.settings import UserError

# What the engine, the registry or the network says -> what that means. The first that fits counts.
MEANINGS = (
    (r"x509|certificate.verify|unknown authority", "untrusted"),
    (r"unauthenticated|no basic auth credentials", "stranger"),
    (r"unauthorized|authentication required", "refused"),
    (r"name.unknown|repository \S+ not found", "missing"),
    (r"denied|forbidden", "forbidden"),
    (r"refused|reset|aborted|broken pipe|EOF|timeout|timed out|no such host|resol|not known|unreachable", "gone"),
)


def problem(said: str, registry: str, login: Login | None) -> UserError:
    """The error for a person: the advice, then the registry's own words, without what follows an address's `?`."""
    host = registry.partition("/")[0]
    google = is_google(host)
    meaning = next((meaning for pattern, meaning in MEANINGS if re.search(pattern, said, re.IGNORECASE)), "other")
    if meaning == "refused" and login is None:
        meaning = "stranger"
    whose = f"the account of {login.source}" if login else "nobody in particular"
    there = f"/etc/docker/certs.d/{host}/ca.crt on the engine's machine"
    advice = {
        "untrusted": f"the certificate of {host} is not trusted: put its authority's certificate at {there}",
        "stranger": not_logged_in(host),
        "refused": f"{host} refuses the login of {login.source if login else 'nobody'}",
        "missing": f"no such repository: {registry}. Is REGISTRY right?"
        + (" `terraform apply` makes the one of terraform.tfvars" if google else ""),
        "forbidden": f"no permission to push to {registry}: {whose} needs it"
        + (" (roles/artifactregistry.writer)" if google else ""),
        "gone": f"{host} is not reachable, or went away. What has arrived stays: `make push` again sends the rest",
        "other": f"{host} says no",
    }[meaning]
    words = re.sub(r"\?[^\s\"']+", "?...", said.strip())
    return UserError(f"{advice}\n  ({words})")


def messages(body: str) -> str:
    """The errors in a registry's answer; empty when it has none."""
    try:
        return "; ".join(f"{one['code']}: {one.get('message', '')}" for one in json.loads(body)["errors"])
    except (ValueError, KeyError, TypeError):
        return ""
