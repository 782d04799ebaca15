"""Which code goes into which image."""

import subprocess
import sys
from pathlib import Path

from scripts.settings import ROOT


def chosen(job: str, target: Path) -> set[str]:
    """Python files that the image of `job` gets."""
    command = [sys.executable, "docker/select_code.py", "--job", job, ".", str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {str(path.relative_to(target)) for path in target.rglob("*.py")}


def test_a_job_gets_its_own_folder_and_the_library(tmp_path: Path) -> None:
    files = chosen("web-to-postgres", tmp_path)
    assert "jobs/web_to_postgres/flow.py" in files
    folders = {"/".join(file.split("/")[:2]) for file in files if file.startswith("jobs/")}
    assert folders == {"jobs/__init__.py", "jobs/web_to_postgres"}
    assert {file.split("/")[0] for file in files} == {"jobs", "longshore"}
    assert "jobs/web_to_postgres/deployment.py" not in files


def test_orchestration_gets_every_deployment(tmp_path: Path) -> None:
    files = chosen("orchestration", tmp_path)
    assert {"jobs/web_to_postgres/deployment.py", "workpools/docker.py", "scripts/deploy.py"} <= files
    assert (tmp_path / "workpools/docker.json").exists()


def test_the_emulators_get_no_job(tmp_path: Path) -> None:
    files = chosen("emulators", tmp_path)
    assert "standins/google/__main__.py" in files
    assert {file.split("/")[0] for file in files} == {"standins", "scripts"}


def test_byte_code_is_never_checked_against_its_source(tmp_path: Path) -> None:
    chosen("web-to-postgres", tmp_path)
    compiled = list(tmp_path.rglob("*.pyc"))
    assert compiled
    assert all(int.from_bytes(path.read_bytes()[4:8], "little") == 0b01 for path in compiled)


def test_an_unknown_job_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "docker/select_code.py", "--job", "web-to-nowhere", ".", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no job 'web-to-nowhere'" in done.stderr


def test_the_flows_are_apart_from_what_changes_less(tmp_path: Path) -> None:
    whole, code, flows = tmp_path / "whole", tmp_path / "code", tmp_path / "flows"
    files = chosen("etl-parent", whole)
    command = [sys.executable, "docker/select_code.py", "--job", "etl-parent", "--flows", str(flows), ".", str(code)]
    subprocess.run(command, cwd=ROOT, check=True)
    parts = [{str(path.relative_to(part)) for path in part.rglob("*.py")} for part in (code, flows)]
    assert parts[0] | parts[1] == files
    assert not parts[0] & parts[1]
    assert {file.split("/")[1] for file in parts[1]} == {"etl_parent", "web_to_gcs", "gcs_to_bigquery"}
    assert list(flows.rglob("*.pyc"))
