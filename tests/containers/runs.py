"""Runs of jobs through the stack's worker, and a look at what came of them."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from google.cloud import bigquery, storage

from control.labels import STACK
from jobs.late_buses.deployment import LIVE
from scripts.docker import docker_says
from scripts.settings import PASSWORDS, ROOT
from scripts.stack import container
from standins.google.clients import clients

PROJECT = "longshore-test"


def make(env: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    """Run make as a person would."""
    return subprocess.run(["make", *args], cwd=ROOT, env=env, capture_output=True, text=True)


def run(env: dict[str, str], params: str, job: str = "web-to-postgres") -> subprocess.CompletedProcess[str]:
    """`make run`."""
    return make(env, "run", f"JOB={job}", f"PARAMS={params}")


def run_in_background(env: dict[str, str], params: str, job: str = "web-to-postgres") -> subprocess.Popen[str]:
    """What `make run` runs, so that the exit code is its own."""
    command = [".venv/bin/python", "-m", "scripts.run", job, "--params", params]
    return subprocess.Popen(command, cwd=ROOT, env={**env, "PYTHONPATH": "."}, stdout=subprocess.PIPE, text=True)


def wait_for(what: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def job_containers() -> list[str]:
    """Ids of the job containers of our stack, of any state."""
    return docker_says("ps", "-aq", "--filter", f"label={STACK}={PROJECT}").split()


def check_locked_up(job: dict[str, Any], env: dict[str, str]) -> None:
    """The hardening arrived at the container, and no secret did."""
    host = job["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] == host["MemorySwap"] == 1024**3
    seen = json.dumps(job)
    assert not [name for name in PASSWORDS if env[name] in seen]
    assert "PRIVATE KEY" not in seen


def sql(env: dict[str, str], query: str) -> str:
    """Answer of the warehouse; 0 for a table that is not there."""
    psql = ["exec", container(env, "postgres"), "psql", "-AtXq", "-U", "postgres", "-d", "warehouse", "-c", query]
    return docker_says(*psql) or "0"


def cloud(env: dict[str, str]) -> tuple[storage.Bucket, bigquery.Client]:
    """The bucket and BigQuery, through the ports on this machine."""
    here = "http://127.0.0.1"
    store, warehouse = clients(f"{here}:{env['GCS_PORT']}", f"{here}:{env['BIGQUERY_PORT']}", env["GCP_PROJECT"])
    return store.bucket(env["GCS_BUCKET"]), warehouse


def ask(env: dict[str, str], path: str, body: object = None) -> Any:
    """What the stack's Prefect answers: a GET, or with a body a POST."""
    data = None if body is None else json.dumps(body).encode()
    url = f"http://127.0.0.1:{env['PREFECT_PORT']}/api/{path}"
    key = {"Authorization": f"Bearer {env['PREFECT_PASSWORD']}"}
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **key})
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def pause(env: dict[str, str]) -> None:
    """Take the one schedule away that starts a container every 30 seconds."""
    ask(env, f"deployments/{ask(env, f'deployments/name/{LIVE.path}')['id']}/pause_deployment", {})


def settle(env: dict[str, str]) -> None:
    """After `make up`: no run is in the midst of the next test."""
    pause(env)
    wait_for(lambda: not job_containers())


def forget_green(env: dict[str, str]) -> None:
    """Take the green months out of every sink, so that the tests of the stack find it as it was."""
    sql(env, "DROP TABLE IF EXISTS green_taxi_trips")
    sql(env, "DELETE FROM load_ledger WHERE table_name = 'green_taxi_trips'")
    bucket, warehouse = cloud(env)
    bucket.delete_blobs(list(bucket.list_blobs(prefix="data/green/")))
    warehouse.delete_table("dezoomcamp.green_rides", not_found_ok=True)
