"""Jobs as processes of this machine, beside the stack: `make deploy POOL=process`, `make worker POOL=process`."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.settings import ROOT
from scripts.stack import STAND_INS
from standins.web.server import Site
from tests.containers.runs import cloud, forget_green, make, run, sql

TRIPS = '{"dataset": "green", "year": 2021, "months": [3]}'
MONTH = '{"color": "green", "year": 2021, "months": [3]}'


@contextmanager
def worker(env: dict[str, str], log: Path) -> Iterator[None]:
    """`make worker POOL=process`, stopped as Ctrl-C stops it."""
    with log.open("wb") as output:
        command = ["make", "worker", "POOL=process"]
        started = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            yield
        finally:
            os.killpg(started.pid, signal.SIGINT)
            started.wait(60)


def test_the_same_jobs_reach_the_stacks_services_by_their_ports(
    stack: dict[str, str], site: Site, publish: Callable[..., Any], tmp_path: Path
) -> None:
    publish("green", month=3)
    # As a person has it: the addresses come from environments/process.toml.
    names = ("STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST", "GCS_BUCKET", "GCP_PROJECT", "GCP_KEY_FILE")
    env = {name: value for name, value in stack.items() if name not in names}
    env |= {"TAXI_URL": site.taxi_url, "PREFECT_WORKER_QUERY_SECONDS": "1"}
    try:
        deployed = make(env, "deploy", "POOL=process")
        assert deployed.returncode == 0, deployed.stderr
        log = tmp_path / "worker.log"
        with worker(env, log):
            for job, params in (("web-to-postgres", TRIPS), ("web-to-gcs", MONTH), ("gcs-to-bigquery", MONTH)):
                done = run(env, params, job)
                assert done.returncode == 0, done.stdout + done.stderr + log.read_text()
        bucket, warehouse = cloud(stack)
        assert bucket.get_blob("data/green/green_tripdata_2021-03.parquet")
        rows = "SELECT count(*) FROM dezoomcamp.green_rides WHERE month = '2021-03-01'"
        assert [row[0] for row in warehouse.query(rows).result(timeout=60)] == [3_000]
        counted = "SELECT rows_read FROM load_ledger WHERE slice = 'green 2021-03'"
        assert sql(stack, counted) == "3000"
    finally:
        forget_green(stack)
        back = make({**stack, "TAXI_URL": STAND_INS["TAXI_URL"]}, "deploy")
    assert back.returncode == 0, back.stderr
