"""Google's description of the API (the discovery document): which requests there are, and what they may hold."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from standins.google.cloud_run.errors import ApiError

Json = dict[str, Any]


@dataclass(frozen=True)
class Method:
    """One request that the API knows. id: such as run.namespaces.jobs.create."""

    id: str
    verb: str
    path: re.Pattern[str]
    body: str
    query: frozenset[str]


@dataclass(frozen=True)
class Call:
    """A request that fits the description. names: the parts of the path, in order."""

    method: str
    names: tuple[str, ...]
    query: Mapping[str, str]
    body: Json


class Description:
    """The document of one version."""

    def __init__(self, version: str) -> None:
        text = resources.files("googleapiclient.discovery_cache.documents").joinpath(f"run.{version}.json").read_text()
        self.document: Json = json.loads(text)
        self.methods = list(self._methods(self.document))

    def call(self, verb: str, path: str, query: Mapping[str, str], body: Json) -> Call | None:
        """The request, checked; None where this version has no such path. ApiError 400 or 404."""
        for method in self.methods:
            if (match := method.path.fullmatch(path)) and method.verb == verb:
                if unknown := sorted(set(query) - method.query):
                    raise ApiError(
                        400, f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot bind query.'
                    )
                if problems := tuple(self._problems(body, {"$ref": method.body} if method.body else {}, "")):
                    raise ApiError(400, "\n".join(said for _, said in problems), violations=problems)
                return Call(method.id, match.groups(), query, body)
        return None

    def _methods(self, part: Json) -> Iterator[Method]:
        for found in part.get("methods", {}).values():
            path = re.sub(r"\\{\w+\\}", "([^/:]+)", re.escape(found["flatPath"]))
            query = {name for name, one in found["parameters"].items() if one["location"] == "query"}
            query |= set(self.document["parameters"])
            body = found.get("request", {}).get("$ref", "")
            yield Method(found["id"], found["httpMethod"], re.compile("/" + path), body, frozenset(query))
        for resource in part.get("resources", {}).values():
            yield from self._methods(resource)

    def _problems(self, value: Any, schema: Json, at: str) -> Iterator[tuple[str, str]]:
        """Field and message for all that does not fit, as the service's JSON parser says it."""
        if "$ref" in schema:
            schema = self.document["schemas"][schema["$ref"]]
        kind, wrong = schema.get("type", "object"), f"Invalid value at '{at}'"
        if kind == "object" and isinstance(value, dict):
            for name, one in value.items():
                inner = f"{at}.{name}" if at else name
                known = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
                if known is None:
                    yield at, f"Invalid JSON payload received. Unknown name \"{name}\" at '{at}': Cannot find field."
                elif one is not None:
                    yield from self._problems(one, known, inner)
                elif "additionalProperties" in schema:
                    yield inner, f"Invalid value at '{inner}': null unexpected."
        elif kind == "array" and isinstance(value, list):
            for index, one in enumerate(value):
                yield from self._problems(one, schema["items"], f"{at}[{index}]")
        elif (kind == "string" and isinstance(value, int) and schema.get("format") in ("int64", "uint64")) or (
            kind == "integer" and (type(value) is int or (isinstance(value, str) and value.lstrip("-").isdigit()))
        ):
            return
        elif not isinstance(value, {"string": str, "boolean": bool, "number": float, "any": object}.get(kind, ())):
            yield at, f"{wrong} ({kind}), {json.dumps(value)}"
        elif "enum" in schema and value not in schema["enum"]:
            yield at, f"{wrong} (enum), {json.dumps(value)}"


@cache
def description(version: str) -> Description:
    """The document of `v1` or `v2`."""
    return Description(version)
