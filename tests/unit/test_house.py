"""The library's rooms: who may know whom, and that none but flows/ needs Prefect."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.settings import ROOT

LIBRARY = ROOT / "longshore"
# From the ground up: a room may know those before it, and itself. "": the modules beside the rooms.
ROOMS = ("", "rows", "formats", "datasets", "sources", "sinks", "flows")
NEED_PREFECT = {f"longshore.flows.{name}" for name in ("backfill", "engine", "overlap", "api_retry", "prefect_runner")}
IMPORT_ALL = """
import importlib, sys
from longshore.flows.flow import without_prefect
with without_prefect():
    for name in sys.argv[1:]:
        importlib.import_module(name)
"""


def modules(folder: Path) -> dict[str, Path]:
    """Modules below a folder of the project, by name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(folder.rglob("*.py"))
    }


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """The known modules that a file imports, wherever in it, but for those that only its types need."""
    tree = ast.parse(path.read_text())
    typed = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    unseen = {id(inner) for node in typed for inner in ast.walk(node)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found & set(known)


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else ""


def test_a_room_knows_no_room_above_it() -> None:
    known = modules(LIBRARY)
    upward = [
        f"{name} imports {other}"
        for name, path in known.items()
        for other in imports(path, known)
        if ROOMS.index(room(other)) > ROOMS.index(room(name))
    ]
    assert upward == []


def test_no_module_needs_itself_in_a_circle() -> None:
    known = modules(LIBRARY)
    graph = {name: imports(path, known) - {name} for name, path in known.items()}
    while leaves := {name for name, needs in graph.items() if not needs & set(graph)}:
        for name in leaves:
            del graph[name]
    assert graph == {}


def test_the_library_knows_nothing_of_what_stands_on_it() -> None:
    others = {"control", "dashboards", "docker", "jobs", "scripts", "tests", "workpools"}
    for name, path in modules(LIBRARY).items():
        tree = ast.walk(ast.parse(path.read_text()))
        named = {node.module.split(".")[0] for node in tree if isinstance(node, ast.ImportFrom) and node.module}
        assert not named & others, name


@pytest.mark.parametrize("folder", ["longshore", "jobs"])
def test_it_imports_where_prefect_is_banned(folder: str) -> None:
    found = [name for name in modules(ROOT / folder) if name not in NEED_PREFECT and not name.endswith("__main__")]
    wanted = [name for name in found if name != "jobs.etl_parent.backfill"]  # its runs are Prefect's
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'tests/no_prefect'}:{ROOT}"}
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL, *wanted], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
