"""`make new-job`, in a copy of the repository."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.settings import ROOT
from tests.conftest import Database

FOLDERS = ("jobs", "longshore", "standins", "control", "workpools", "environments", "scripts", "tests", "docker")
FILES = ("docker-compose.yml", "pyproject.toml", "uv.lock", ".env.example")
NAME, FOLDER = "zone-lookup", "zone_lookup"


def run(tree: Path, module: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`python -m MODULE WORDS…` in the copy."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", module, *words]
    return subprocess.run(command, cwd=tree, env={**kept, **env}, capture_output=True, text=True, timeout=300)


def state(tree: Path) -> dict[str, bytes]:
    """Every file by path, but byte code and caches."""
    files = (path for path in tree.rglob("*") if path.is_file() and not {"__pycache__", ".ruff_cache"} & {*path.parts})
    return {str(path.relative_to(tree)): path.read_bytes() for path in files}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the repository, without what git ignores."""
    copy = tmp_path / "tree"
    copy.mkdir()
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(ROOT / file, copy)
    return copy


def test_a_new_job_is_whole_and_runs_at_once(tree: Path, taxi: Database, publish: Callable[..., Any]) -> None:
    expected = publish("green")
    made = run(tree, "scripts.new_job", NAME)
    if "does the package index answer?" in made.stderr:
        pytest.skip("uv's cache does not suffice for the lock, and the package index does not answer")
    assert made.returncode == 0, made.stderr
    assert f"-m jobs.{FOLDER} --help" in made.stdout
    for module, *words in (
        ("uv", "lock", "--check", "--offline"),
        ("ruff", "check", "-q", f"jobs/{FOLDER}"),
        ("ruff", "format", "-q", "--check", f"jobs/{FOLDER}"),
        ("mypy", "--no-error-summary", f"jobs/{FOLDER}"),
        ("pytest", "tests/contract", "-k", FOLDER),
        (f"jobs.{FOLDER}",),
    ):
        done = run(tree, module, *words)
        assert done.returncode == 0, f"{module} {' '.join(words)}\n{done.stdout}\n{done.stderr}"
    assert taxi.value(f"SELECT count(*) FROM {FOLDER}") == expected.rows


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "such as late-buses"),
        ("Late_Buses", "such as late-buses"),
        ("late--buses", "such as late-buses"),
        ("../late", "such as late-buses"),
        ("2nd-job", "such as late-buses"),
        ("a" * 41, "such as late-buses"),
        ("import", "means something else"),
        ("flow", "means something else"),
        ("late-buses", "already"),
        ("web-to-postgres", "already"),
        ("orchestration", "already"),
    ],
)
def test_a_bad_name_changes_nothing(name: str, reason: str, tree: Path) -> None:
    before = state(tree)
    done = run(tree, "scripts.new_job", name)
    assert done.returncode == 1
    assert reason in done.stderr
    assert state(tree) == before


def test_a_failure_half_way_leaves_nothing_behind(tree: Path) -> None:
    lock = tree / "uv.lock"
    lock.write_text("not a lock")
    before = state(tree)
    done = run(tree, "scripts.new_job", NAME)
    assert done.returncode == 1
    assert "uv.lock could not be made" in done.stderr
    assert state(tree) == before
