"""The emulators of Google Cloud keep what they were given, and leave no process behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
from google.cloud import bigquery, storage

from scripts.settings import ROOT
from standins.google.clients import clients
from standins.google.start import google_cloud

FOREVER = """
import sys, time
from pathlib import Path
from standins.google.clients import clients
from standins.google.start import google_cloud
with google_cloud(Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(600)
"""


def opened(env: dict[str, str]) -> tuple[storage.Bucket, bigquery.Client]:
    """The bucket and BigQuery, at the emulators of this environment."""
    store, warehouse = clients(env["STORAGE_EMULATOR_HOST"], env["BIGQUERY_EMULATOR_HOST"], env["GCP_PROJECT"])
    return store.bucket(env["GCS_BUCKET"]), warehouse


def test_data_outlive_a_kill_and_no_process_does(tmp_path: Path) -> None:
    with google_cloud(tmp_path) as env:
        bucket, warehouse = opened(env)
        bucket.blob("a/b").upload_from_string("kept")
        warehouse.create_dataset("kept")
        warehouse.query("CREATE TABLE kept.one AS SELECT 1 AS n").result()
    command = [sys.executable, "-c", FOREVER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        emulators = psutil.Process(holder.pid).children(recursive=True)
        os.kill(holder.pid, signal.SIGKILL)
    assert len(emulators) == 3
    gone, alive = psutil.wait_procs(emulators, timeout=60)
    assert len(gone) == 3
    assert alive == []
    with google_cloud(tmp_path) as env:
        bucket, warehouse = opened(env)
        assert bucket.blob("a/b").download_as_bytes() == b"kept"
        assert [row.n for row in warehouse.query("SELECT n FROM kept.one").result()] == [1]
