"""A flow's signature and docstring as options of a command line."""

import argparse
import difflib
import inspect
import json
import re
from collections.abc import Callable
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints


class Parser(argparse.ArgumentParser):
    """Says what may have been meant where an option is not known."""

    def error(self, message: str) -> NoReturn:
        """Print it and end with 2."""
        if unknown := re.match(r"unrecognized arguments: (--[\w-]+)", message):
            known = [option for action in self._actions for option in action.option_strings]
            if near := difflib.get_close_matches(unknown[1], known, 1, 0.5):
                message += f" (did you mean {near[0]}?)"
        super().error(message)


def parser(function: Callable[..., Any], prog: str) -> argparse.ArgumentParser:
    """One option for each parameter, with its type, default and line of the docstring."""
    text = inspect.getdoc(function) or ""
    result = Parser(
        prog=prog, description=text.split("\n\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    said, types = documented(text), get_type_hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        option: dict[str, Any] = {"help": said.get(name, name).replace("%", "%%"), "default": parameter.default}
        result.add_argument(f"--{name.replace('_', '-')}", **option, **_reading(types.get(name, str)))
    return result


def documented(text: str) -> dict[str, str]:
    """Parameter -> what the docstring's Args say of it."""
    lines = text.partition("Args:\n")[2].split("\n\n")[0]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", lines, re.MULTILINE)
    return {name: " ".join(said.split()) for name, said in found}


def _reading(kind: Any) -> dict[str, Any]:
    """How argparse reads a value of the type; that it may be None too does not matter."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _reading(next(one for one in inner if one is not NoneType))
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if origin is list:
        return {"nargs": "+", "type": inner[0], "metavar": "N" if inner[0] is int else "VALUE"}
    if origin is dict:
        return {"type": _json, "metavar": "JSON"}
    if origin is Literal:
        return {"choices": inner}
    if kind is datetime:
        return {"type": _time, "metavar": "TIME"}
    return {"type": kind, "metavar": {int: "INTEGER", float: "NUMBER"}.get(kind, "STRING")}


def _time(value: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{value!r} is no time such as 2026-02-04T08:40:00+00:00") from error


def _json(value: str) -> dict[str, Any]:
    try:
        parsed = json.loads(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise argparse.ArgumentTypeError('not a JSON object like {"id": "bigint"}')
    return parsed
