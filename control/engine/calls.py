"""The calls of Docker's API that a worker may make, as data, and what each is held to.

A call that passes is built anew from what was checked: path, query and body are never the caller's own bytes, so that
no second reading of them (a doubled key, an encoded slash) can mean something else to the engine.
"""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

import httpx

from control.labels import RUN, STACK
from control.policy import Policy, image_allowed, refusals

# Older versions of the API read options of a container at its start.
VERSION = re.compile(r"/v1\.(2[4-9]|[3-9]\d)(?=/)")
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
LIST_FILTERS = {"id", "label", "name", "status"}


class Refused(Exception):
    """Why a call is not let through."""


@dataclass(frozen=True)
class Ask:
    """One call. `path` has {} in the place of `thing`, what it is about; `version` is such as /v1.41, or empty."""

    method: str
    path: str
    thing: str
    query: dict[str, str]
    body: Any = None
    version: str = ""
    auth: str = ""  # a log-in to a registry


Look = Callable[[str], Awaitable[dict[str, Any]]]  # what the engine answers to a GET
Check = Callable[[Policy, Look, Ask], Awaitable[Ask]]


async def as_it_is(_policy: Policy, _look: Look, ask: Ask) -> Ask:
    """Nothing to check."""
    return ask


async def job_container(policy: Policy, look: Look, ask: Ask) -> Ask:
    """A container of a run of this stack. Addressed by its full id: what was looked at is what is acted upon."""
    return replace(ask, thing=await _own(policy, look, ask.thing), body=None)


async def new_container(policy: Policy, _look: Look, ask: Ask) -> Ask:
    """A job's container, under the jobs' user, and under a name that is no other service's address.

    Docker's names are names on the network too: a run called `postgres` would be asked for the warehouse.
    """
    if wrong := refusals(policy, ask.body):
        raise Refused("; ".join(wrong))
    name = ask.query.get("name", "")
    if name and not re.fullmatch(NAME, name):
        raise Refused(f"the name {name!r:.100}")
    query = {"name": f"{policy.stack}-run-{name}"} if name else {}
    return replace(ask, query=query, body={**ask.body, "User": policy.user})


async def listed(policy: Policy, _look: Look, ask: Ask) -> Ask:
    """The list of containers, of this stack's runs alone."""
    filters = _read_json(ask.query.get("filters") or "{}")
    if not isinstance(filters, dict) or not LIST_FILTERS.issuperset(filters):
        raise Refused(f"filters other than {', '.join(sorted(LIST_FILTERS))}")
    labels = filters.get("label", [])
    if not isinstance(labels, list):
        raise Refused("a filter by label that is no list")
    forced = {**filters, "label": [*labels, f"{STACK}={policy.stack}", RUN]}
    return replace(ask, query={**ask.query, "filters": json.dumps(forced)})


async def known_image(policy: Policy, _look: Look, ask: Ask) -> Ask:
    """An image of this stack."""
    if not image_allowed(ask.thing, policy.images):
        raise Refused(f"the image {ask.thing:.200}: must be under {' or '.join(policy.images)}, with a tag or digest")
    return ask


async def pulled(policy: Policy, _look: Look, ask: Ask) -> Ask:
    """An image of the registry."""
    tag = ask.query.get("tag", "")
    image = ask.query.get("fromImage", "") + (("@" if tag.startswith("sha256:") else ":") + tag if tag else "")
    if not policy.pulls:
        raise Refused(f"the image {image:.200}: the setting REGISTRY is empty, so nothing is pulled")
    if not image_allowed(image, policy.pulls):
        raise Refused(
            f"the image {image:.200}: must be under {' or '.join(policy.pulls)} (REGISTRY), with tag or digest"
        )
    return replace(ask, body=None)


async def job_network(policy: Policy, look: Look, ask: Ask) -> Ask:
    """A network that jobs may be on."""
    found = await look(f"/networks/{ask.thing}")
    if found["Name"] not in policy.networks:
        raise Refused(f"the network {ask.thing}: jobs may be on {', '.join(policy.networks)}")
    return replace(ask, thing=found["Id"], body=None)


async def connected(policy: Policy, look: Look, ask: Ask) -> Ask:
    """A job's container put on one more network of jobs, without address or alias of its choice."""
    body = ask.body
    if not isinstance(body, dict) or body.keys() - {"Container", "EndpointConfig"} or body.get("EndpointConfig"):
        raise Refused("more than the container is given")
    if not isinstance(body.get("Container"), str) or not re.fullmatch(NAME, body["Container"]):
        raise Refused("no container is given")
    ask = await job_network(policy, look, ask)
    return replace(ask, body={"Container": await _own(policy, look, body["Container"])})


async def _own(policy: Policy, look: Look, container: str) -> str:
    """Full id of a container of ours."""
    found = await look(f"/containers/{container}/json")
    labels = found["Config"]["Labels"] or {}
    if labels.get(STACK) != policy.stack or not labels.get(RUN):
        raise Refused(f"the container {container} is not a run's of the stack {policy.stack} (by its labels)")
    return str(found["Id"])


@dataclass(frozen=True)
class Call:
    """One kind of call; the first group of its path is the thing it is about."""

    methods: tuple[str, ...]
    path: str
    query: frozenset[str]
    check: Check


def _call(methods: str, path: str, query: str, check: Check) -> Call:
    return Call(tuple(methods.split()), path, frozenset(query.split()), check)


CALLS = (
    _call("GET HEAD", r"/_ping()", "", as_it_is),
    _call("GET", r"/version()", "", as_it_is),
    _call("POST", r"/containers/create()", "name", new_container),
    _call("GET", r"/containers/json()", "all filters limit size trunc_cmd", listed),
    _call("GET", rf"/containers/({NAME})/json", "size", job_container),
    _call("GET", rf"/containers/({NAME})/logs", "follow since stderr stdout tail timestamps until", job_container),
    _call("POST", rf"/containers/({NAME})/start", "", job_container),
    _call("POST", rf"/containers/({NAME})/stop", "t", job_container),
    _call("POST", rf"/containers/({NAME})/kill", "signal", job_container),
    _call("POST", rf"/containers/({NAME})/wait", "condition", job_container),
    _call("POST", rf"/containers/({NAME})/unpause", "", job_container),
    _call("DELETE", rf"/containers/({NAME})", "force link v", job_container),
    _call("GET", r"/images/([^%?#]+)/json", "", known_image),
    _call("POST", r"/images/create()", "fromImage tag", pulled),
    _call("GET", rf"/networks/({NAME})", "scope verbose", job_network),
    _call("POST", rf"/networks/({NAME})/connect", "", connected),
)


def read_ask(method: str, path: bytes, query: bytes, body: bytes, auth: str) -> tuple[Ask, Check]:
    """The call as it came, and what it is held to. Raises Refused for what is on no list."""
    # Docker's clients encode the @ before a digest, and nothing else.
    whole = path.decode("latin-1").replace("%40", "@")
    version = VERSION.match(whole)
    bare = whole[version.end() :] if version else whole
    for call in CALLS:
        found = re.fullmatch(call.path, bare)
        if found and method in call.methods:
            break
    else:
        raise Refused("a worker has no need of it")
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    names = [name for name, _ in pairs]
    if odd := {name for name in names if name not in call.query or names.count(name) > 1}:
        raise Refused(f"the query's {', '.join(sorted(odd))}")
    read = _read_json(body) if body else None
    template = f"{bare[: found.start(1)]}{{}}{bare[found.end(1) :]}"
    return Ask(method, template, found[1], dict(pairs), read, version[0] if version else "", auth), call.check


def _read_json(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("what should be JSON is none") from None


def request(client: httpx.AsyncClient, ask: Ask) -> httpx.Request:
    """The call as the engine gets it."""
    headers = {"X-Registry-Auth": ask.auth} if ask.auth and ask.path.startswith("/images/create") else {}
    if ask.body is not None:
        headers["Content-Type"] = "application/json"
    content = None if ask.body is None else json.dumps(ask.body).encode()
    path = ask.version + ask.path.format(ask.thing)
    return client.build_request(ask.method, path, params=ask.query, content=content, headers=headers)
