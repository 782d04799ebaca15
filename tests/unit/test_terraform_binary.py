"""What only Terraform itself can tell of terraform/: its format, and what its variables take.

Google's provider would be a download, so no resource is planned.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.terraform_files import FOLDER, uncommented

pytestmark = pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not installed")


def terraform(*args: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
    return subprocess.run(["terraform", *args], env=env, capture_output=True, text=True)


def plan(folder: Path, settings: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Plan with the variables alone: whether they take these settings."""
    (folder / "variables.tf").write_bytes((FOLDER / "variables.tf").read_bytes())
    given = [part for one in more for part in ("-var", one)]
    return terraform(f"-chdir={folder}", "plan", "-no-color", "-input=false", f"-var-file={settings}", *given)


def test_is_formatted() -> None:
    done = terraform("fmt", "-check", "-recursive", "-no-color", str(FOLDER))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("example", ["terraform.tfvars.example", "checks/everything.tfvars"])
def test_takes_the_examples(example: str, tmp_path: Path) -> None:
    done = plan(tmp_path, uncommented(FOLDER / example, tmp_path))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        "project=My Project",
        "project=123456789012",
        "region=europe-west1-b",
        "region=EU",
        "zone=us-central1-a",
        "name=Longshore",
        "bucket_name=gs://bucket",
        'datasets=["my-dataset"]',
        "keep_old_objects_days=0",
        "keep_images=1",
        "github_repository=https://github.com/owner/name",
        "github_repository=owner/name' || 'a' == 'a",
        "github_ref=main",
        "github_ref=refs/heads/*",
        "subnet_cidr=10.10.0.0",
        "vpc_connector_cidr=10.10.1.0/24",
        "worker_count=-1",
        "worker_count=1.5",
        "worker_image=europe-west1-docker.pkg.dev/p/longshore/orchestration:latest",
        "worker_image=orchestration@sha256:abc",
        'worker_pool=a" --other',
        "worker_pool_type=docker",
        "worker_machine_type=small",
    ],
)
def test_refuses_and_says_what_is_wanted(wrong: str, tmp_path: Path) -> None:
    done = plan(tmp_path, FOLDER / "checks/everything.tfvars", wrong)
    name = wrong.partition("=")[0]
    assert done.returncode == 1
    assert f"{name} must" in " ".join(done.stderr.split())
