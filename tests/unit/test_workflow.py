"""GitHub's workflow: what it calls is there, what it uses is pinned, and a fork's pull request gets no secret."""

import os
import re
import subprocess
from typing import Any

import pytest
import yaml

from scripts.environment import OUTPUTS
from scripts.settings import ROOT, read_env

TEXT = (ROOT / ".github/workflows/ci.yml").read_text()
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)
TEST, AUDIT, DEPLOY = (WORKFLOW["jobs"][name] for name in ("test", "audit", "deploy"))
STEPS = [*TEST["steps"], *AUDIT["steps"], *DEPLOY["steps"]]
READ = set(re.findall(r"\b(?:vars|secrets)\.(\w+)", TEXT))


def test_every_action_is_pinned_by_its_commit() -> None:
    uses = re.findall(r"uses: (.*)", TEXT)
    assert len(uses) == sum("uses" in step for step in STEPS)
    assert [one for one in uses if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)] == []


@pytest.mark.parametrize("command", [step["run"] for step in STEPS if "run" in step])
def test_what_it_runs_is_there(command: str) -> None:
    program, *words = command.split()
    if program == "make":
        targets = [word for word in words if "=" not in word]
        declared = re.findall(r"^([a-z-]+):.* ## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert targets
        assert set(targets) <= set(declared)
        done = subprocess.run(["make", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    else:
        assert os.access(ROOT / program, os.X_OK)


def test_only_the_job_that_deploys_gets_secrets_and_an_identity() -> None:
    assert WORKFLOW["permissions"] == {}
    assert TEST["permissions"] == AUDIT["permissions"] == {"contents": "read"}
    assert DEPLOY["permissions"] == {"contents": "read", "id-token": "write"}
    for job in (TEST, AUDIT):
        assert "vars." not in str(job)
        assert "secrets" not in str(job)
    assert "pull_request_target" not in TEXT
    assert DEPLOY["needs"] == "test"
    assert "github.event_name == 'push'" in DEPLOY["if"]
    assert WORKFLOW[True]["push"] == {"branches": ["main"]}  # YAML takes `on` for a truth
    # Terraform lets in the branch by the token's subject, which an environment of GitHub's would take the place of.
    assert "environment" not in DEPLOY
    checkouts = [step for step in STEPS if step.get("uses", "").startswith("actions/checkout@")]
    assert [one["with"]["persist-credentials"] for one in checkouts] == [False] * 3


def test_known_vulnerabilities_are_looked_for_with_every_change_and_each_week() -> None:
    assert [step["run"] for step in AUDIT["steps"] if "run" in step] == ["make audit"]
    assert not {"if", "needs", "continue-on-error"} & set(AUDIT)
    assert "schedule" in WORKFLOW[True]
    assert TEST["if"] == "github.event_name != 'schedule'"  # and so no deploy either


def test_a_deploy_waits_for_the_one_before() -> None:
    assert DEPLOY["concurrency"]["cancel-in-progress"] is False
    assert "${{" not in DEPLOY["concurrency"]["group"]
    assert all("timeout-minutes" in job for job in (TEST, AUDIT, DEPLOY))


def test_it_gives_make_what_terraform_knows() -> None:
    given = DEPLOY["env"]
    assert set(OUTPUTS) <= set(given)
    assert set(given) <= set(read_env(ROOT / ".env.example"))
    for name, value in given.items():
        assert value in (f"${{{{ vars.{name} }}}}", "cloud"), name
    outputs = re.findall(r'^output "(\w+)"', (ROOT / "terraform/outputs.tf").read_text(), re.MULTILINE)
    assert {"WORKLOAD_IDENTITY_PROVIDER", "CI_SERVICE_ACCOUNT"} <= READ & {name.upper() for name in outputs}


def test_what_it_reads_is_documented() -> None:
    documented = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs/ci.md").read_text(), re.MULTILINE))
    assert documented == READ


def test_googles_credentials_are_no_change_of_the_tree() -> None:
    # The action writes them into the checkout, and `make push` refuses a tree that differs from its commit.
    for file in ("gha-creds-0123456789abcdef.json", "pushed-images.json"):
        assert subprocess.run(["git", "check-ignore", "--quiet", file], cwd=ROOT).returncode == 0
