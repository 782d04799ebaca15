"""Runs of the jobs for Google Cloud through the stack's worker, against the emulators beside it."""

import subprocess

import pyarrow as pa
from pyarrow import parquet

from scripts.docker import docker_says
from scripts.settings import PASSWORDS
from scripts.stack import container
from tests.containers.conftest import inspect
from tests.containers.runs import PROJECT, check_locked_up, cloud, job_containers, run, run_in_background, wait_for

JANUARY = '{"year": 2021, "months": [1]}'
FEBRUARY = '{"year": 2021, "months": [2]}'
ROWS = 1_369_765  # of January; nothing is filtered on this way


def objects(env: dict[str, str]) -> dict[str, int]:
    """Bytes of each object in the bucket."""
    bucket, _ = cloud(env)
    return {blob.name: blob.size for blob in bucket.list_blobs()}


def test_web_to_gcs_writes_the_month_once(stack: dict[str, str]) -> None:
    name = "data/yellow/yellow_tripdata_2021-01.parquet"
    first = run(stack, JANUARY, "web-to-gcs")
    assert first.returncode == 0, first.stdout + first.stderr
    bucket, _ = cloud(stack)
    # Not by `open`, which goes where the emulator was called when the object came: another name than on this machine.
    written = pa.BufferReader(bucket.blob(name).download_as_bytes())
    assert parquet.read_metadata(written).num_rows == ROWS
    updated = bucket.get_blob(name).updated
    second = run(stack, JANUARY, "web-to-gcs")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "unchanged" in second.stdout
    assert bucket.get_blob(name).updated == updated
    assert job_containers() == []


def test_kill_9_in_mid_upload_leaves_no_object_and_the_next_try_writes_it(stack: dict[str, str]) -> None:
    before = objects(stack)
    storage = container(stack, "gcs")
    uploads = ("exec", storage, "find", "/data/.cloudstorage/_resumable", "-type", "f", "-size", "+0")
    running = run_in_background(stack, FEBRUARY, "web-to-gcs")
    wait_for(lambda: docker_says(*uploads))
    docker_says("pause", storage)  # so that the upload cannot end before the kill
    try:
        (killed,) = job_containers()
        job = inspect(killed)
        docker_says("kill", "--signal", "KILL", killed)
    finally:
        docker_says("unpause", storage)
    assert objects(stack) == before
    output, _ = running.communicate(timeout=180)
    assert running.returncode == 0, output
    assert "Restarted: Started again." in output
    check_locked_up(job, stack)
    (new,) = set(objects(stack)) - set(before)
    assert new == "data/yellow/yellow_tripdata_2021-02.parquet"


def test_gcs_to_bigquery_loads_the_month_once(stack: dict[str, str]) -> None:
    _, warehouse = cloud(stack)
    for said in ("loaded", "unchanged"):
        done = run(stack, JANUARY, "gcs-to-bigquery")
        assert done.returncode == 0, done.stdout + done.stderr
        assert said in done.stdout
        (row,) = warehouse.query("SELECT COUNT(*) AS rows_there FROM dezoomcamp.rides").result()
        assert row.rows_there == ROWS


def test_the_emulators_are_locked_up_and_keep_their_data_when_they_start_anew(stack: dict[str, str]) -> None:
    before = objects(stack)
    for service in ("gcs", "bigquery"):
        found = container(stack, service)
        host = inspect(found)["HostConfig"]
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert host["Memory"] > 0
        assert docker_says("exec", found, "id", "-u") == "10001"
        docker_says("restart", found)
        wait_for(lambda found=found: inspect(found)["State"]["Health"]["Status"] == "healthy")  # type: ignore[misc]
    assert objects(stack) == before
    _, warehouse = cloud(stack)
    (row,) = warehouse.query("SELECT COUNT(*) AS rows_there FROM dezoomcamp.rides").result()
    assert row.rows_there == ROWS


def test_no_secret_is_in_a_log(stack: dict[str, str]) -> None:
    ids = docker_says("ps", "-aq", "--filter", f"label=com.docker.compose.project={PROJECT}").split()
    said = [subprocess.run(["docker", "logs", one], capture_output=True, text=True) for one in ids]
    logs = "".join(one.stdout + one.stderr for one in said)
    assert logs
    assert "PRIVATE KEY" not in logs
    assert not [name for name in PASSWORDS if stack[name] in logs]
