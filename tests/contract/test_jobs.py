"""What every folder of jobs/ keeps to. A new job is held to it by being there."""

import json
import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import ParameterSchema
from prefect.utilities.schema_tools.validation import validate

from scripts.schedules import as_prefect, said
from scripts.settings import ROOT, read_env
from tests.contract.conftest import Sinks
from workpools.job import JobDeployment

BANNED = ROOT / "tests/no_prefect"
FILES = ("__init__.py", "__main__.py", "deployment.py", "flow.py")
FOLDERS = sorted({path.parent.name for name in FILES[1:] for path in (ROOT / "jobs").glob(f"*/{name}")})
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
pytestmark = pytest.mark.parametrize("folder", FOLDERS)


def deployments(folder: str) -> tuple[JobDeployment, ...]:
    """The first is of the flow that `python -m` runs."""
    made: tuple[JobDeployment, ...] = import_module(f"jobs.{folder}.deployment").DEPLOYMENTS
    return made


def job_name(folder: str) -> str:
    return folder.replace("_", "-")


def load(deployment: JobDeployment) -> Any:
    return load_flow_from_entrypoint(str(ROOT / deployment.entrypoint), use_placeholder_flow=False)


def run(folder: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """`python -m jobs.FOLDER WORDS…`, where importing Prefect is an error."""
    env = {**os.environ, "PYTHONPATH": str(BANNED)}
    command = [sys.executable, "-m", f"jobs.{folder}", *words]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


def ran(folder: str, *words: str) -> None:
    """The same, which must succeed."""
    done = run(folder, *words)
    assert done.returncode == 0, done.stderr


def options(parameters: dict[str, Any]) -> list[str]:
    """Parameters as words of a command line."""
    words = []
    for name, value in parameters.items():
        words += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, list) else [value])]
    return words


def defaults(parameters: ParameterSchema) -> dict[str, Any]:
    return {name: field.get("default") for name, field in parameters.properties.items()}


def parameters_in(image: str, folder: str, code: Path) -> list[Any]:
    """The parameters of the folder's flows, read with the code and the packages of an image and nothing else."""
    subprocess.run([sys.executable, "docker/select_code.py", "--job", image, ".", str(code)], cwd=ROOT, check=True)
    export = "export --frozen --no-default-groups --no-emit-project --no-hashes --no-annotate --no-header --extra"
    uv = [sys.executable, "-m", "uv", *export.split(), image]
    locked = subprocess.run(uv, cwd=ROOT, capture_output=True, text=True, check=True)
    wanted = {
        "code": str(code),
        "packages": [line.partition("==")[0] for line in locked.stdout.splitlines()],
        "entrypoints": [deployment.entrypoint for deployment in deployments(folder)],
        "from_source": image == "orchestration",
    }
    probe = [sys.executable, "-I", str(Path(__file__).with_name("import_only.py")), json.dumps(wanted)]
    done = subprocess.run(probe, cwd=code, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [ParameterSchema.parse_obj(found) for found in json.loads(done.stdout)]


def test_the_folder_is_complete_and_named_as_its_job(folder: str) -> None:
    assert [name for name in FILES if not (ROOT / "jobs" / folder / name).exists()] == []
    assert deployments(folder)
    for deployment in deployments(folder):
        assert deployment.job == job_name(folder)
        assert deployment.entrypoint.startswith(f"jobs/{folder}/")
        assert deployment.description


def test_a_deployment_runs_the_flow_that_it_names(folder: str) -> None:
    for deployment in deployments(folder):
        assert load(deployment).name == deployment.flow
    assert len({deployment.path for deployment in deployments(folder)}) == len(deployments(folder))


def test_parameters_fit_the_flow_as_the_server_and_the_engine_check_them(folder: str) -> None:
    for deployment in deployments(folder):
        flow = load(deployment)
        for given in (deployment.parameters, deployment.trial):
            assert set(given) <= set(flow.parameters.properties)
            validate(dict(given), flow.parameters.dict(), raise_on_error=True)
            flow.validate_parameters(defaults(flow.parameters) | dict(given))


def test_every_parameter_is_documented(folder: str) -> None:
    for deployment in deployments(folder):
        flow = load(deployment)
        assert flow.description
        assert [name for name, field in flow.parameters.properties.items() if not field.get("description")] == []


def test_schedule_and_limits_can_be(folder: str) -> None:
    for deployment in deployments(folder):
        assert deployment.memory_mib >= 256
        assert deployment.concurrency >= 1
        if deployment.schedule:
            assert said(as_prefect(deployment.schedule)) == str(deployment.schedule)


def test_the_image_is_known(folder: str) -> None:
    """The extra is its packages; the compose file builds and checks it before anything is deployed."""
    name = job_name(folder)
    assert name in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    check = COMPOSE[f"check-{name}"]
    assert check["build"]["args"]["JOB"] == name
    assert check["command"] == ["python", "-c", f"import jobs.{folder}.flow"]
    assert f"check-{name}" in COMPOSE["deploy"]["depends_on"]


def test_every_setting_reaches_the_container(folder: str) -> None:
    """From .env.example, where all are listed, through the compose file's deploy service."""
    settings = {name for one in deployments(folder) for name in (*one.settings, *one.needs)}
    assert settings <= set(read_env(ROOT / ".env.example"))
    assert settings <= set(COMPOSE["deploy"]["environment"])


def test_its_image_holds_all_that_it_imports(folder: str, tmp_path: Path) -> None:
    assert parameters_in(job_name(folder), folder, tmp_path) == [load(one).parameters for one in deployments(folder)]


def test_the_image_that_deploys_knows_the_parameters(folder: str, tmp_path: Path) -> None:
    """From the source, because it lacks the job's packages: types of our own become "anything" there."""
    found = parameters_in("orchestration", folder, tmp_path)
    wanted = [load(deployment).parameters for deployment in deployments(folder)]
    assert [defaults(one) for one in found] == [defaults(one) for one in wanted]


def test_help_lists_the_parameters_of_its_first_deployment(folder: str) -> None:
    done = run(folder, "--help")
    assert done.returncode == 0
    said = done.stdout
    assert f"usage: python -m jobs.{folder}" in said
    for name in load(deployments(folder)[0]).parameters.properties:
        assert f"--{name.replace('_', '-')}" in said


def test_wrong_usage_ends_with_2(folder: str) -> None:
    done = run(folder, "--no-such-option")
    assert done.returncode == 2
    assert "--no-such-option" in done.stderr


def test_with_prefect_it_does_the_same(folder: str, sinks: Sinks) -> None:
    first = deployments(folder)[0]
    for name in first.after:
        before = name.replace("-", "_")
        ran(before, *options(dict(deployments(before)[0].trial)))
    trial = options(dict(first.trial))
    ran(folder, *trial)
    loaded = sinks.contents()
    command = [sys.executable, "-m", f"jobs.{folder}", *trial, "--prefect"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Finished in state Completed" in done.stderr
    assert sinks.contents() == loaded


def test_a_rerun_leaves_identical_rows(folder: str, sinks: Sinks) -> None:
    first = deployments(folder)[0]
    for name in first.after:
        before = name.replace("-", "_")
        ran(before, *options(dict(deployments(before)[0].trial)))
    untouched = sinks.contents()
    trial = options(dict(first.trial))
    ran(folder, *trial)
    loaded = sinks.contents()
    assert loaded != untouched
    ran(folder, *trial)
    assert sinks.contents() == loaded
    if "force" in load(first).parameters.properties:
        ran(folder, *trial, "--force")
        assert sinks.contents() == loaded
