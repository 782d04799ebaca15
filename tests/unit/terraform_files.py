"""terraform/ as a parser of its language reads it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
from hcl2.utils import SerializationOptions

from scripts.settings import ROOT

FOLDER = ROOT / "terraform"
FILES = sorted(FOLDER.glob("*.tf"))
PLAIN = SerializationOptions(strip_string_quotes=True, with_comments=False, explicit_blocks=False)
# In an expression: a variable, a local value, a resource. each., count., path. and self. are the language's own.
REFERENCE = re.compile(r"(?<![\w.\"/])(var|local|google_\w+)\.(\w+)")


def parse(path: Path) -> dict[str, Any]:
    with path.open() as file:
        return hcl2.load(file, serialization_options=PLAIN)


def blocks(kind: str) -> dict[str, Any]:
    """All blocks of a kind by name, resources by TYPE.NAME."""
    found: dict[str, Any] = {}
    for path in FILES:
        for block in parse(path).get(kind, []):
            for name, body in block.items():
                named = {f"{name}.{one}": inner for one, inner in body.items()} if kind == "resource" else {name: body}
                assert not set(named) & set(found), f"{kind} {name} is there twice"
                found |= named
    return found


def uncommented(example: Path, folder: Path) -> Path:
    """A copy of an example of settings, with those that it only mentions."""
    copy = folder / "example.tfvars"
    copy.write_text(re.sub(r"^# (?=\w+ +=)", "", example.read_text(), flags=re.MULTILINE))
    return copy


VARIABLES, RESOURCES, OUTPUT_BLOCKS, LOCALS = (blocks(kind) for kind in ("variable", "resource", "output", "locals"))


def references() -> Iterator[tuple[str, str]]:
    """(var, project), (local, zone), (google_storage_bucket, lake): each name that an expression asks for."""
    for path in FILES:
        for text in strings(parse(path)):
            for part in re.findall(r"\$\{(.*)\}", text, re.DOTALL):
                yield from REFERENCE.findall(part)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings(one)
