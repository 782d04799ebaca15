"""What is in an image, and what is not."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scripts.docker import docker_says
from scripts.images import jobs
from scripts.settings import ROOT, settings
from tests.containers.conftest import inside, inspect

ARROW = ["pyarrow.csv", "pyarrow.json", "pyarrow.parquet", "pyarrow.dataset", "pyarrow.compute", "pyarrow.fs"]
GOOGLE = ["prefect_gcp", "google.cloud.storage", "google.cloud.bigquery", "google_crc32c"]
USED = {  # besides what importing the flow imports
    "web-to-postgres": [*ARROW, "pgpq", "psycopg2", "prefect_sqlalchemy"],
    "web-to-gcs": [*ARROW, *GOOGLE],
    "gcs-to-bigquery": GOOGLE,
    "etl-parent": [*ARROW, *GOOGLE],
    "late-buses": [*ARROW, *GOOGLE, "psycopg2", "prefect_sqlalchemy", "google.transit.gtfs_realtime_pb2"],
}


@pytest.fixture(scope="module", params=jobs())
def name(request: pytest.FixtureRequest) -> str:
    """Each job."""
    return str(request.param)


@pytest.fixture(scope="module")
def job(images: dict[str, str], name: str) -> str:
    """Full name of the job's image."""
    return images[name]


def test_is_at_most_600_mb(job: str) -> None:
    assert inspect(job)["Size"] <= 600e6


def test_says_where_it_comes_from(job: str, env: dict[str, str]) -> None:
    labels = inspect(job)["Config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == env["TAG"]
    assert labels["org.opencontainers.image.version"] == "0.1.0"
    assert "org.opencontainers.image.source" in labels


def test_runs_without_rights(job: str) -> None:
    assert inspect(job)["Config"]["User"] == "10001:10001"
    assert inside(job, "sh", "-c", "id -u; id -g; pwd").split() == ["10001", "10001", "/opt/prefect/flows"]
    assert inside(job, "find", "/opt", "-writable", "-not", "-type", "l") == ""


def test_only_what_serves_has_a_healthcheck(images: dict[str, str]) -> None:
    checked = {name for name, image in images.items() if inspect(image)["Config"].get("Healthcheck")}
    assert checked == {"orchestration", "sources", "dashboards"}


def test_holds_only_its_extra(job: str, name: str) -> None:
    lock = {package["name"]: package for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    export = ["uv", "export", "--frozen", "--no-default-groups", "--no-emit-project", "--no-hashes", "--no-annotate"]
    uv = shutil.which("uv") or str(ROOT / ".venv/bin/uv")
    wanted = subprocess.run([uv, *export[1:], "--extra", name], cwd=ROOT, capture_output=True, text=True)
    allowed = {line.split("==")[0] for line in wanted.stdout.splitlines() if "==" in line}
    names = "import importlib.metadata as m; print(*(d.metadata['Name'].lower() for d in m.distributions()))"
    found = {one.replace("_", "-").replace(".", "-") for one in inside(job, "python", "-c", names).split()}
    assert allowed
    assert found
    assert found <= allowed
    assert not {"uv", "pip", "prefect-docker", "pytest"} & found
    assert "uv" in lock
    assert inside(job, "sh", "-c", "command -v uv pip || true") == ""


def test_holds_only_its_code(job: str, name: str, tmp_path: Path) -> None:
    select = [sys.executable, "docker/select_code.py", "--job", name, ".", str(tmp_path)]
    subprocess.run(select, cwd=ROOT, check=True)
    chosen = {f"./{path.relative_to(tmp_path)}" for path in tmp_path.rglob("*.py")}
    folder = f"./jobs/{name.replace('-', '_')}"
    assert f"{folder}/flow.py" in chosen
    assert f"{folder}/deployment.py" not in chosen
    assert set(inside(job, "find", ".", "-name", "*.py").split()) == chosen


def test_is_byte_compiled(job: str) -> None:
    count = "find /opt/venv/lib/python3.11/site-packages/prefect . -name '*.{}' | wc -l"
    sources, compiled = (int(inside(job, "sh", "-c", count.format(kind))) for kind in ("py", "pyc"))
    assert compiled >= sources


def test_everything_the_job_uses_imports_after_slimming(job: str, name: str) -> None:
    folder = name.replace("-", "_")
    modules = ", ".join(["prefect.engine", f"jobs.{folder}.flow", *USED.get(name, ARROW)])
    inside(job, "python", "-c", f"import {modules}")
    assert f"python -m jobs.{folder}" in inside(job, "python", "-m", f"jobs.{folder}", "--help")


def test_keeps_no_secret_and_no_extra_ca(images: dict[str, str], env: dict[str, str]) -> None:
    for image in images.values():
        seen = json.dumps(inspect(image)["Config"]) + docker_says("history", "--no-trunc", image)
        assert not [name for name in env if name.endswith("_PASSWORD") and env[name] in seen]
        assert "SSL_CERT" not in seen
        assert "PRIVATE KEY" not in seen
        find = "find / -xdev -name 'extra-ca*' -o -xdev -name '.env*' 2>/dev/null || true"
        assert inside(image, "sh", "-c", find) == ""


def test_what_the_jobs_hold_in_common_is_stored_once(images: dict[str, str]) -> None:
    layers = {name: inspect(image)["RootFS"]["Layers"] for name, image in images.items()}
    own = 3  # the rest of its packages, the code, the flows
    shared = layers["web-to-postgres"][:-own]
    assert [layers[name][:-own] for name in jobs()] == [shared] * len(jobs())
    assert layers["orchestration"][: len(shared) - 1] == shared[:-1]  # Prefect; only the jobs have pyarrow
    history = docker_says("history", "--format", "{{.Size}}", "--human=false", images["web-to-gcs"]).splitlines()
    sizes = [int(size) for size in history if size != "0"]
    assert sum(sizes[:own]) < 0.2 * sum(sizes)


def test_a_code_change_is_one_small_layer(images: dict[str, str], tmp_path: Path) -> None:
    job = images["web-to-postgres"]
    tree = tmp_path / "tree"
    for part in (
        *("control", "dashboards", "docker", "environments", "jobs"),
        *("longshore", "scripts", "standins", "workpools", ".dockerignore"),
    ):
        origin, copy = ROOT / part, tree / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(origin, copy) if origin.is_dir() else shutil.copy(origin, copy)
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, tree)
    flow = tree / "jobs/web_to_postgres/flow.py"
    flow.write_text(flow.read_text() + "\n# a change\n")
    base = docker_says("inspect", "--format", '{{index .Config.Labels "org.opencontainers.image.revision"}}', job)
    other = "longshore/web-to-postgres:test-code-change"
    args = ["--build-arg", f"BASE_IMAGE={settings()['BASE_IMAGE']}", "--build-arg", f"REVISION={base}"]
    command = ["docker", "build", "--quiet", "--file", "docker/Dockerfile", "--target", "job", "--tag", other]
    done = subprocess.run([*command, *args, "."], cwd=tree, capture_output=True, text=True)
    try:
        assert done.returncode == 0, done.stderr
        before, after = (inspect(image)["RootFS"]["Layers"] for image in (job, other))
        assert before[:-1] == after[:-1]
        assert before[-1] != after[-1]
        history = docker_says("history", "--format", "{{.Size}}\t{{.CreatedBy}}", "--human=false", other).splitlines()
        sizes = [int(line.split("\t")[0]) for line in history]
        assert 0 < next(size for size in sizes if size) < 1_000_000
    finally:
        docker_says("rmi", other)
