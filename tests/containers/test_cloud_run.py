"""Runs on the stand-in of Cloud Run: real workers, real images, real limits, against the stack's own services."""

import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from prefect.states import Cancelling

from scripts.deployments import deployments
from scripts.docker import docker_says
from scripts.settings import PASSWORDS
from standins.google.cloud_run.service import Fault
from tests.containers.cloud_run import OURS, PREFECTS_OWN, PROFILE_SECRET, REGISTRY, Place, place
from tests.containers.runs import cloud, forget_green, make, run, sql, wait_for
from workpools.cloud_run import memory

POOLS = ["cloud-run", "cloud-run-v2"]
PROFILE = """active = "cloud"
[profiles.cloud]
PREFECT_API_URL = "http://prefect:4200/api"
PREFECT_API_KEY = "KEY"
PREFECT_LOGGING_LEVEL = "DEBUG"
"""
TRIPS = {"dataset": "green", "year": 2021, "months": [1]}
MONTH = {"color": "green", "year": 2021, "months": [1]}
DEPLOYMENT = "web-to-postgres/monthly"
ROWS = "SELECT count(*), (SELECT count(*) FROM load_ledger) FROM green_taxi_trips"


@pytest.fixture(scope="module")
def here(stack: dict[str, str], images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The stand-in beside the stack; the stack is as before when it is gone."""
    folder = tmp_path_factory.mktemp("cloud-run")
    with place(
        stack, images, folder, {PROFILE_SECRET: PROFILE.replace('KEY"', f'{stack["PREFECT_PASSWORD"]}"').encode()}
    ) as made:
        try:
            yield made
        finally:
            docker_pool = {**made.env, "IMAGES_FILE": "", "JOB_SERVICE_ACCOUNT": "", "PREFECT_PROFILE_SECRET": ""}
            make(docker_pool, "deploy", "POOL=docker")
            forget_green(stack)


@pytest.fixture(scope="module", params=POOLS)
def pool(request: pytest.FixtureRequest, here: Place) -> str:
    """Each version of the API, deployed to."""
    here.deploy(str(request.param))
    return str(request.param)


@pytest.fixture(scope="module")
def worker(here: Place, pool: str) -> Iterator[str]:
    """Our worker of the pool, with a key for Prefect, as with Prefect Cloud."""
    with here.worker(pool, OURS) as container:
        yield container


@pytest.fixture
def quiet(here: Place) -> Iterator[None]:
    """Nothing is left of another test, and nothing is left by this one."""
    here.clear()
    yield
    here.unlock()
    here.clear()


def check_job(body: dict[str, Any], here: Place, job: str) -> None:
    """The recorded job is the deployment's: its image by digest, its account, its limits, and no secret."""
    text = json.dumps(body)
    assert here.pushed[job] in text
    assert "@sha256:" in here.pushed[job]
    assert here.env["JOB_SERVICE_ACCOUNT"] in text
    (wanted,) = [one for one in deployments() if one.job == job]
    assert f'"memory": "{memory(wanted)}Mi"' in text
    assert "PREFECT__FLOW_RUN_ID" in text
    assert not [name for name in PASSWORDS if here.env[name] in text]
    assert "PRIVATE KEY" not in text


def test_prefects_own_worker_runs_all_three_jobs(here: Place, pool: str) -> None:
    here.clear()
    with here.worker(pool, PREFECTS_OWN):
        for job, params in (("web-to-postgres", TRIPS), ("web-to-gcs", MONTH), ("gcs-to-bigquery", MONTH)):
            done = run(here.env, json.dumps({**params, "force": True}), job)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "1 loaded" in done.stdout
            check_job(here.front.asked("jobs.create")[-1].body, here, job)
        wait_for(lambda: not here.front.run.jobs)  # each is deleted once it has ended
    assert [one.state for one in here.front.run.history] == ["succeeded"] * 3
    assert sql(here.env, "SELECT count(*) FROM green_taxi_trips") == "75048"
    bucket, warehouse = cloud(here.env)
    assert bucket.get_blob("data/green/green_tripdata_2021-01.parquet")
    (row,) = warehouse.query("SELECT COUNT(*) AS rows_there FROM dezoomcamp.green_rides").result()
    assert row.rows_there == 76518


def test_prefects_key_comes_to_the_job_as_a_file(here: Place, worker: str, quiet: None) -> None:
    started = here.begin(DEPLOYMENT, TRIPS)
    found = here.ended(started)
    assert found.is_completed(), found
    (created,) = here.front.asked("jobs.create")
    assert PROFILE_SECRET in json.dumps(created.body)
    assert "PREFECT_API_KEY" not in json.dumps(created.body)
    assert here.env["PREFECT_API_KEY"] not in json.dumps([one.body for one in here.front.requests])
    # Only that file asks for them.
    wait_for(lambda: [line for line in here.said(started) if line.level == logging.DEBUG])


def test_a_job_that_fails_fails_the_command(here: Place, worker: str, quiet: None) -> None:
    missing = {"url": "http://sources:8000/no-such-file.csv", "table": "nothing"}
    done = run(here.env, json.dumps(missing))
    assert done.returncode == 2, done.stdout  # make's own code for a command that failed
    assert "404" in done.stdout
    wait_for(lambda: not here.front.run.jobs)


def test_what_passes_does_not_fail_a_run_nor_start_it_twice(here: Place, worker: str, quiet: None) -> None:
    faults = [
        Fault("jobs.create", 503, lost=True),
        Fault("jobs.get", 503),
        Fault("jobs.run", 429),
        Fault("jobs.run", 503, lost=True),
        Fault("executions.get", 503, times=2),
        Fault("jobs.delete", 429),
    ]
    here.front.run.faults[:] = faults
    found = here.ended(here.begin(DEPLOYMENT, {**TRIPS, "force": True}))
    assert found.is_completed(), found
    wait_for(lambda: not here.front.run.jobs)
    assert [fault.times for fault in faults] == [0] * len(faults)
    assert [one.state for one in here.front.run.history] == ["succeeded"]


def test_the_time_limit_ends_a_run_and_nothing_is_half_loaded(here: Place, worker: str, quiet: None) -> None:
    before = sql(here.env, ROWS)
    started = held(here, timeout=25)
    found = here.ended(started)
    assert found.is_crashed(), found
    wait_for(lambda: not here.front.run.jobs)
    assert "The configured timeout was reached." in here.front.run.history[-1].message
    wait_for(lambda: here.says(started, "The configured timeout was reached."))
    here.unlock()
    assert sql(here.env, ROWS) == before


def test_cancel_stops_the_container(here: Place, worker: str, quiet: None) -> None:
    before = sql(here.env, ROWS)
    started = held(here)
    here.prefect("set_flow_run_state", started, Cancelling())
    wait_for(lambda: not here.front.run.jobs)
    (execution,) = here.front.run.history
    wait_for(lambda: execution.state == "cancelled")
    wait_for(lambda: here.prefect("read_flow_run", started).state.name == "Cancelled")
    assert not docker_says("ps", "-q", "--filter", f"name={execution.name}")
    here.unlock()
    assert sql(here.env, ROWS) == before


def test_a_run_whose_job_somebody_deletes_is_crashed(here: Place, worker: str, quiet: None) -> None:
    started = held(here)
    with here.front.run.lock:
        (job,) = here.front.run.jobs.values()
        here.front.run.delete(job)
    found = here.ended(started)
    assert found.is_crashed(), found


def test_a_run_whose_image_is_gone_is_crashed(here: Place, worker: str, quiet: None) -> None:
    gone = f"{REGISTRY}/web-to-postgres@sha256:{'1' * 64}"
    started = here.begin(DEPLOYMENT, TRIPS, image=gone)
    found = here.ended(started)
    assert found.is_crashed(), found
    wait_for(lambda: here.says(started, f"Image '{gone}' not found"))
    assert not here.front.run.jobs


def test_a_run_goes_on_without_its_worker_and_is_not_started_twice(
    here: Place, pool: str, worker: str, quiet: None
) -> None:
    started = held(here)
    docker_says("kill", worker)
    with here.worker(pool, OURS):
        here.unlock()
        found = here.ended(started)
        assert found.is_completed(), found
        wait_for(lambda: here.front.run.history[0].completed)
        assert [one.state for one in here.front.run.history] == ["succeeded"]
        assert len(here.front.asked("jobs.run")) == 1


def held(here: Place, **job_variables: Any) -> UUID:
    """A run that has sent its rows and waits for a lock before it can commit them."""
    here.lock()
    started = here.begin(DEPLOYMENT, {**TRIPS, "force": True}, **job_variables)
    wait_for(here.waits)
    return started
