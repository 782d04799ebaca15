"""Loads into BigQuery at the same time, readers in the middle, lost answers, and loads that are killed."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from longshore.errors import LoadError
from standins.google.proxy import Fault, Proxy, proxied
from tests.conftest import Cloud
from tests.integration.bigquery_loading import load_objects, numbers, put_object, tables

LOAD_JOB, TRANSACTION = "sourceUris", "BEGIN TRANSACTION"


@pytest.fixture
def proxy(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What jobs take for BigQuery: the emulator behind a proxy that can break."""
    with proxied(os.environ["BIGQUERY_EMULATOR_HOST"]) as between:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", between.url)
        yield between


def before_request(proxy: Proxy, word: str, act: Callable[[], Fault | None]) -> None:
    """When the first request with the word in it comes, act, and only then pass it on, or do what act says."""
    usual, coming = proxy.due, threading.Lock()

    def due(method: str, path: str, body: bytes) -> Fault | None:
        fault = usual(method, path, body)
        if method == "POST" and word.encode() in body and coming.acquire(blocking=False):
            return act()
        return fault

    proxy.due = due  # type: ignore[method-assign]


def counts(cloud: Cloud, table: str = "t") -> list[tuple[int, ...]]:
    return cloud.rows(f"SELECT COUNT(*), COUNT(DISTINCT n), COUNT(DISTINCT load_slice) FROM {table}")


def leftovers(cloud: Cloud) -> set[str]:
    return {table.table_id for table in cloud.bigquery.list_tables(cloud.dataset)} - {"t", "load_ledger", "load_lock"}


def test_runs_of_one_slice_at_once_end_well(cloud: Cloud) -> None:
    uri = put_object(cloud, "n.parquet", numbers(50_000))
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: load_objects(cloud, uri), range(4)))
    assert sorted(report.status for report in reports) == ["loaded", "unchanged", "unchanged", "unchanged"]
    assert counts(cloud) == [(50_000, 50_000, 1)]
    assert cloud.rows("SELECT slice, rows_loaded FROM load_ledger") == [(uri, 50_000)]
    assert not leftovers(cloud)


def test_slices_of_one_new_table_at_once(cloud: Cloud) -> None:
    uris = [put_object(cloud, f"{part}.parquet", numbers(20_000, 20_000 * part)) for part in range(4)]
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda uri: load_objects(cloud, uri), uris))
    assert [report.rows_loaded for report in reports] == [20_000] * 4
    assert counts(cloud) == [(80_000, 80_000, 4)]
    assert cloud.rows("SELECT COUNT(*) FROM load_ledger") == [(4,)]
    assert not leftovers(cloud)


def test_a_run_that_was_overtaken_does_not_put_old_rows_back(cloud: Cloud, proxy: Proxy) -> None:
    uri = put_object(cloud, "n.parquet", numbers(10))

    def overtake() -> None:
        put_object(cloud, "n.parquet", numbers(20))
        load_objects(cloud, uri)

    before_request(proxy, TRANSACTION, overtake)
    with pytest.raises(LoadError, match="another run has loaded this slice meanwhile, from other objects") as caught:
        load_objects(cloud, uri)
    assert caught.value.retryable
    assert counts(cloud) == [(20, 20, 1)]
    assert load_objects(cloud, uri).status == "unchanged"


def test_an_object_that_changes_while_it_is_loaded(cloud: Cloud, proxy: Proxy) -> None:
    uri = put_object(cloud, "n.parquet", numbers(10))

    def change() -> None:
        put_object(cloud, "n.parquet", numbers(10, 100))

    before_request(proxy, LOAD_JOB, change)
    with pytest.raises(LoadError, match="changed while it was loaded") as caught:
        load_objects(cloud, uri)
    assert caught.value.retryable
    assert not leftovers(cloud)
    assert load_objects(cloud, uri).rows_loaded == 10
    assert cloud.rows("SELECT MIN(n) FROM t") == [(100,)]


def test_a_reader_sees_the_old_rows_or_the_new_and_nothing_between(cloud: Cloud) -> None:
    uri = put_object(cloud, "n.parquet", numbers(100_000))
    load_objects(cloud, uri)
    put_object(cloud, "n.parquet", numbers(300_000))
    seen = set()
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load_objects, cloud, uri)
        while not loading.done():
            seen.add(cloud.rows("SELECT COUNT(*), (SELECT MAX(rows_loaded) FROM load_ledger) FROM t")[0])
        loading.result()
    assert seen <= {(100_000, 100_000), (300_000, 300_000)}
    assert (100_000, 100_000) in seen
    assert counts(cloud) == [(300_000, 300_000, 1)]


@pytest.mark.parametrize("word", [LOAD_JOB, TRANSACTION])
def test_an_answer_that_is_lost_loads_nothing_twice(word: str, cloud: Cloud, proxy: Proxy) -> None:
    uri = put_object(cloud, "n.parquet", numbers(1_000))
    proxy.faults = [Fault("mute", "POST", word)]
    assert load_objects(cloud, uri).status == "loaded"
    assert not proxy.faults[0].times
    assert counts(cloud) == [(1_000, 1_000, 1)]
    assert cloud.rows("SELECT COUNT(*) FROM load_ledger") == [(1,)]


@pytest.mark.parametrize("word", ["n.parquet", "load_staging", TRANSACTION])
def test_what_may_pass_is_tried_again(word: str, cloud: Cloud, proxy: Proxy) -> None:
    uri = put_object(cloud, "n.parquet", numbers(1_000))
    proxy.faults = [Fault("status", "POST", word, status=503)]
    assert load_objects(cloud, uri).status == "loaded"
    assert not proxy.faults[0].times


@pytest.mark.parametrize("word", [LOAD_JOB, TRANSACTION])
def test_a_service_that_is_gone_in_mid_load_changes_nothing(word: str, cloud: Cloud, proxy: Proxy) -> None:
    uri = put_object(cloud, "n.parquet", numbers(10))
    load_objects(cloud, uri)
    before = tables(cloud)
    put_object(cloud, "n.parquet", numbers(20))

    def go() -> Fault:
        proxy.faults = [Fault("cut", method, "", times=99) for method in ("POST", "GET", "DELETE")]
        return Fault("cut")

    before_request(proxy, word, go)
    with pytest.raises(LoadError, match="Is the service up") as caught:
        load_objects(cloud, uri)
    assert caught.value.retryable
    now = tables(cloud)
    assert {name: now[name] for name in before} == before
    proxy.faults = []
    assert load_objects(cloud, uri).rows_loaded == 20
    assert counts(cloud) == [(20, 20, 1)]


def flow_process(cloud: Cloud, uri: str) -> "subprocess.Popen[bytes]":
    """The whole flow in a process of its own, which can be killed."""
    command = [sys.executable, "-m", "jobs.gcs_to_bigquery", "--uri", uri, "--table", "t", "--dataset", cloud.dataset]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("reload", [False, True], ids=["new", "reload"])
@pytest.mark.parametrize("word", [LOAD_JOB, TRANSACTION])
def test_kill_9_before_a_step_changes_nothing(word: str, reload: bool, cloud: Cloud, proxy: Proxy) -> None:
    uri = put_object(cloud, "n.parquet", numbers(10))
    if reload:
        load_objects(cloud, uri)
    before = tables(cloud)
    put_object(cloud, "n.parquet", numbers(1_000))
    processes: list[subprocess.Popen[bytes]] = []
    killed = threading.Event()

    def kill() -> Fault:
        processes[0].send_signal(signal.SIGKILL)
        killed.set()
        return Fault("cut")

    before_request(proxy, word, kill)
    with flow_process(cloud, uri) as process:
        processes.append(process)
    assert killed.is_set()
    now = tables(cloud)
    assert {name: now[name] for name in before} == before
    assert not now.get("t") or reload
    assert load_objects(cloud, uri).rows_loaded == 1_000
    assert counts(cloud) == [(1_000, 1_000, 1)]


def test_kill_9_during_the_transaction_leaves_the_old_rows_or_the_new(cloud: Cloud, proxy: Proxy) -> None:
    uri = put_object(cloud, "n.parquet", numbers(1_000))
    load_objects(cloud, uri)
    put_object(cloud, "n.parquet", numbers(500_000))
    processes: list[subprocess.Popen[bytes]] = []
    before_request(
        proxy, TRANSACTION, lambda: threading.Timer(0.05, processes[0].send_signal, [signal.SIGKILL]).start()
    )
    with flow_process(cloud, uri) as process:
        processes.append(process)
    assert process.returncode == -signal.SIGKILL
    (found,) = cloud.rows("SELECT COUNT(*), COUNT(DISTINCT n), (SELECT MAX(rows_loaded) FROM load_ledger) FROM t")
    assert found in {(1_000, 1_000, 1_000), (500_000, 500_000, 500_000)}
    load_objects(cloud, uri)
    assert counts(cloud) == [(500_000, 500_000, 1)]
    assert cloud.rows("SELECT COUNT(*) FROM load_ledger") == [(1,)]
