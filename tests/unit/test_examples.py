"""The examples of the docs are ones that run, on the stand-ins of `make up SOURCE=demo` too."""

import inspect
import json
import re
from datetime import date
from importlib import import_module
from typing import Any

import pytest

from scripts.deployments import deployments
from scripts.settings import ROOT
from standins.taxi.__main__ import DEMO

FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLE = re.compile(r"^make run JOB=(\S+)(?: PARAMS='([^']*)')?", re.MULTILINE)
EXAMPLES = [found.groups() for file in FILES for found in EXAMPLE.finditer(file.read_text())]
KNOWN = {name: one for one in deployments() for name in (one.path, one.flow, one.job)}


def wanted(job: str, given: dict[str, Any]) -> list[tuple[str, date]]:
    """The taxi months that an example reads."""
    module, _, name = KNOWN[job].entrypoint.partition(":")
    function = getattr(import_module(module.removesuffix(".py").replace("/", ".")), name).fn
    assert set(given) <= set(inspect.signature(function).parameters)
    if job == "backfill":
        (first, last) = (date.fromisoformat(f"{given[end]}-01") for end in ("start", "end"))
        return [("yellow", date(first.year, month, 1)) for month in range(first.month, last.month + 1)]
    return [("yellow", date(given.get("year", 2021), month, 1)) for month in given.get("months", ())]


@pytest.mark.parametrize(("job", "params"), EXAMPLES)
def test_an_example_runs_on_the_demos_months(job: str, params: str | None) -> None:
    for color, month in wanted(job, json.loads(params or "{}")):
        assert f"{color}:{month:%Y-%m}" in DEMO


def test_there_are_examples_and_all_are_looked_at() -> None:
    assert {"web-to-postgres", "etl-parent-flow", "backfill", "master-flow"} <= {job for job, _ in EXAMPLES}
    lines = [line for file in FILES for line in file.read_text().splitlines() if line.startswith("make run JOB=")]
    assert len(lines) == len(EXAMPLES)
