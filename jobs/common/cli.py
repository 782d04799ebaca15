"""A flow's command line: one option for each parameter, and an exit code that tells how it ended."""

import argparse
import json
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from prefect import Flow

from jobs.common.engine import give_up
from jobs.common.patience import be_patient


def parser(flow: Flow[Any, Any]) -> argparse.ArgumentParser:
    """Options from the flow's signature; help from its docstring."""
    summary = (flow.description or "").split("\n\n")[0]
    result = argparse.ArgumentParser(
        prog=f"python -m jobs.{flow.fn.__module__.split('.')[1]}",
        description=summary,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for name, schema in flow.parameters.properties.items():
        kinds = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
        option: dict[str, Any] = {"help": schema.get("title", name), "default": schema.get("default")}
        option["help"] = schema.get("description", "").replace("%", "%%") or name
        option |= _reading(kinds[0])
        result.add_argument(f"--{name.replace('_', '-')}", **option)
    return result


def _reading(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if kind == "boolean":
        return {"action": argparse.BooleanOptionalAction}
    if kind == "array":
        return {"nargs": "+", "type": _scalar(schema.get("items", {}).get("type")), "metavar": "N"}
    if kind == "object":
        return {"type": _json, "metavar": "JSON"}
    if "enum" in schema:
        return {"choices": schema["enum"]}
    return {"type": _scalar(kind), "metavar": str(kind or "value").upper()}


def _scalar(kind: str | None) -> Callable[[str], Any]:
    return {"integer": int, "number": float}.get(kind or "", str)


def _json(value: str) -> dict[str, Any]:
    try:
        parsed = json.loads(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise argparse.ArgumentTypeError('not a JSON object like {"id": "bigint"}')
    return parsed


def main(flow: Flow[Any, Any], arguments: Sequence[str] | None = None) -> int:
    """Run the flow in this process; no server or worker is needed. 0: completed, 1: failed, 2: wrong usage."""
    given = vars(parser(flow).parse_args(arguments))
    be_patient(exhausted=give_up)
    warnings.simplefilter("ignore")  # Prefect's own database migrations warn
    state: Any = flow(**given, return_state=True)
    return 0 if state.is_completed() else 1
