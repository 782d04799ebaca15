"""The emulators of Google Cloud keep what they were given, and leave no process behind."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
from google.cloud import bigquery, storage

from scripts.settings import ROOT
from standins.google.clients import clients
from standins.google.servers import cloud_storage, free_port
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


def test_a_client_that_vanished_in_mid_upload_keeps_nobody_else_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMULATOR_SILENCE_SECONDS", "1")
    port = free_port()
    with cloud_storage(tmp_path, "127.0.0.1", port, "b"), socket.create_connection(("127.0.0.1", port)) as vanished:
        vanished.sendall(b"PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nonly this")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
            assert answer.status == 200
