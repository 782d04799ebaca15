"""Prefect Cloud as the server: a workspace's address and a key, in the environment and nowhere else."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.settings import PREFECT_API_KEY, PREFECT_API_URL, PREFECT_CLOUD_API_URL, temporary_settings

from scripts.api import page
from scripts.settings import ROOT
from tests.conftest import Database
from tests.integration.prefect_cloud import WORKSPACE, Door, prefect_cloud
from tests.integration.prefect_server import POOL, bare_server, worker

KEY = f"pnu_{uuid4().hex}"
LOAD = ("scripts.run", "web-to-postgres", "--params", '{"year": 2021, "months": [1]}')


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cloud")


@pytest.fixture(scope="module")
def door(home: Path) -> Iterator[Door]:
    with bare_server(home) as server, prefect_cloud(server, KEY) as door:
        yield door


def call(door: Door, *words: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
    """One of the scripts, as make runs it, with the workspace for its server."""
    given = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "PREFECT_API_URL": door.workspace}
    given["WAREHOUSE_PASSWORD"] = "of-nobody"  # a clone has no .env
    given |= account(door, key)
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, env=given, capture_output=True, text=True, timeout=120
    )


def account(door: Door, key: str = KEY) -> dict[str, str]:
    """The key that a person sets; and what tells Prefect's client that this address is the Cloud."""
    return {"PREFECT_API_KEY": key, "PREFECT_CLOUD_API_URL": door.workspace.removesuffix(WORKSPACE) + "/api"}


def test_deploy_work_run_and_status(home: Path, door: Door, taxi: Database, publish: Callable[..., Any]) -> None:
    publish(month=1)
    deployed = call(door, "scripts.deploy", "--pool", POOL, "--job", "web-to-postgres")
    assert deployed.returncode == 0, deployed.stderr
    assert "deployment web-to-postgres/monthly: " in deployed.stdout

    with worker(home, door.workspace, account(door)):
        ran = call(door, *LOAD)
        looked = call(door, "scripts.status")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    pages = door.workspace.replace("/api/accounts/", "/account/").replace("/workspaces/", "/workspace/")
    assert re.search(rf"^run \S+: {pages}/flow-runs/flow-run/[0-9a-f-]{{36}}$", ran.stdout, re.MULTILINE)
    assert taxi.value("SELECT count(*) FROM load_ledger") == 1
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert "All is well." in looked.stdout
    assert {"work_pools/", "deployments/", f"work_pools/{POOL}/workers/heartbeat", "events/in"} <= set(door.seen)

    said = [*(one.stdout + one.stderr for one in (deployed, ran, looked)), (home / "worker.log").read_text()]
    assert [text for text in said if KEY in text] == []


WRONG = f"pnu_{uuid4().hex}"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (WRONG, ("scripts.deploy", "--pool", POOL)),
        (WRONG, LOAD),
        (WRONG, ("scripts.status",)),
        ("", ("scripts.status",)),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "wrong" if value else "none",
)
def test_a_wrong_key_is_said_in_a_line(door: Door, key: str, words: tuple[str, ...]) -> None:
    seen = len(door.seen)
    done = call(door, *words, key=key)
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert done.stderr == (
        f"{door.workspace} does not accept the key: set PREFECT_API_KEY to a valid one (HTTP 401).\n"
    )
    assert len(door.seen) == seen


@pytest.mark.parametrize(
    ("api", "runs"),
    [
        ("http://127.0.0.1:4200/api", "http://127.0.0.1:4200/flow-runs"),
        ("https://ann:s3cret@prefect.example.org/api", "https://prefect.example.org/flow-runs"),
        (
            "https://api.prefect.cloud/api/accounts/A/workspaces/W",
            "https://app.prefect.cloud/account/A/workspace/W/flow-runs",
        ),
    ],
)
def test_pages_are_those_of_the_server_or_of_the_cloud(api: str, runs: str) -> None:
    with temporary_settings({PREFECT_API_URL: api}, restore_defaults={PREFECT_API_KEY, PREFECT_CLOUD_API_URL}):
        assert page("flow-runs") == runs
