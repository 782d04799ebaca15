"""The gate against known vulnerabilities: it fails on one, and is never green when it could not ask."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from scripts import audit
from scripts.settings import ROOT
from standins.google.serve import serving

NOWHERE = "http://127.0.0.1:9/"
OLD = "jinja2", "2.4.1"  # of 2010; sandbox escapes and more are known of it
ADVISORY = {
    "id": "GHSA-0000-test",
    "modified": "2026-01-01T00:00:00Z",
    "aliases": ["CVE-2026-0"],
    "summary": "It leaks.",
}


class _Database(BaseHTTPRequestHandler):
    """A stand-in of osv.dev, which knows one vulnerability, of one package."""

    package: str
    asked: list[str]

    def do_POST(self) -> None:
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        names = [query["package"]["name"] for query in queries]
        self.asked += names
        known = {"vulns": [{"id": ADVISORY["id"], "modified": ADVISORY["modified"]}]}
        self.answer({"results": [known if name == self.package else {} for name in names]})

    def do_GET(self) -> None:
        self.answer(ADVISORY)

    def answer(self, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def database(asked: list[str]) -> Iterator[str]:
    with serving(type("Database", (_Database,), {"package": "prefect", "asked": asked})) as url:
        yield f"{url}/"


def gate(service: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "scripts.audit", "--service", service]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_known_vulnerability_fails_the_gate_and_is_named(database: str) -> None:
    done = gate(database)
    assert done.returncode == 1
    assert "GHSA-0000-test" in done.stdout
    assert "accept it in scripts/audit.toml" in done.stderr


def test_a_finding_that_is_accepted_by_any_of_its_names_passes(database: str) -> None:
    assert audit.audit(ROOT, ["CVE-2026-0"], database) == audit.CLEAN


def test_all_extras_and_groups_are_asked_about(database: str, asked: list[str]) -> None:
    gate(database)
    locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    assert set(asked) == {one["name"] for one in locked} - {"longshore"}


def test_a_database_that_does_not_answer_is_not_a_clean_lock() -> None:
    done = gate(NOWHERE)
    assert done.returncode == 2
    assert "Not known" in done.stderr


def test_what_is_accepted_is_in_the_lock_and_says_why() -> None:
    locked = {one["name"]: one for one in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    accepted = audit.accepted()
    assert [one.id for one in accepted if one.package not in locked] == []
    assert all(len(one.why) > 20 for one in accepted)
    assert len({one.id for one in accepted}) == len(accepted)


def test_the_real_database_knows_an_old_version(tmp_path: Path) -> None:
    name, version = OLD
    project = (
        f'[project]\nname = "old"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["{name}=={version}"]\n'
    )
    (tmp_path / "pyproject.toml").write_text(project)
    (tmp_path / "uv.lock").write_text(f"""version = 1
requires-python = ">=3.11"

[[package]]
name = "{name}"
version = "{version}"
source = {{ registry = "https://pypi.org/simple" }}

[[package]]
name = "old"
version = "0"
source = {{ virtual = "." }}
dependencies = [{{ name = "{name}" }}]
""")
    found = audit.audit(tmp_path, [])
    if found == audit.UNKNOWN:
        pytest.skip("osv.dev does not answer here")
    assert found == audit.VULNERABLE
