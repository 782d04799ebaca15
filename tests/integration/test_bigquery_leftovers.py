"""Staging tables that dead runs left are dropped by the next load; those of runs that are loading are not."""

import datetime as dt
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.errors import LoadError
from longshore.sinks.bigquery import staging
from standins.google.proxy import Fault, Proxy, proxied
from tests.conftest import Cloud
from tests.integration.appending import append, appending, seen
from tests.integration.bigquery_loading import load_objects, numbers, put_object
from tests.integration.test_append_bigquery import CHILD
from tests.integration.test_bigquery_together import LOAD_JOB, TRANSACTION, before_request, counts, flow_process

AT_ONCE, LONG = dt.timedelta(0), dt.timedelta(hours=1)


@pytest.fixture
def proxy(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What jobs take for BigQuery: the emulator behind a proxy that can break."""
    with proxied(os.environ["BIGQUERY_EMULATOR_HOST"]) as between:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", between.url)
        yield between


def left(cloud: Cloud) -> set[str]:
    return {one.table_id for one in cloud.bigquery.list_tables(cloud.dataset) if one.table_id.startswith("load_stag")}


def killing(processes: "list[subprocess.Popen[bytes]] | list[subprocess.Popen[str]]") -> Fault:
    """kill -9, and the request that the process was sending does not arrive."""
    processes[0].send_signal(signal.SIGKILL)
    return Fault("cut")


@pytest.mark.parametrize("word", [LOAD_JOB, TRANSACTION])
def test_the_next_load_drops_the_table_of_a_run_that_was_killed(
    word: str, cloud: Cloud, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = put_object(cloud, "n.parquet", numbers(10))
    processes: list[subprocess.Popen[bytes]] = []
    before_request(proxy, word, lambda: killing(processes))
    with flow_process(cloud, uri) as process:
        processes.append(process)
    (dead,) = left(cloud)
    assert load_objects(cloud, uri).rows_loaded == 10
    assert left(cloud) == {dead}  # it may still be loading
    cloud.bigquery.query(f"CREATE TABLE {cloud.dataset}.load_staging_notes (n INT64)").result()  # somebody's own
    monkeypatch.setattr(staging, "SILENCE", AT_ONCE)
    assert load_objects(cloud, uri).status == "unchanged"
    assert left(cloud) == {"load_staging_notes"}
    assert counts(cloud) == [(10, 10, 1)]


def test_the_next_append_drops_the_table_of_one_that_was_killed(
    cloud: Cloud, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(cloud, seen([0]))
    processes: list[subprocess.Popen[str]] = []
    before_request(proxy, TRANSACTION, lambda: killing(processes))
    with appending(CHILD, cloud.dataset, tmp_path / "rows.parquet", seen(range(5))) as process:
        processes.append(process)
    (dead,) = left(cloud)
    assert append(cloud, seen(range(3))).rows_loaded == 2
    assert left(cloud) == {dead}
    monkeypatch.setattr(staging, "SILENCE", AT_ONCE)
    assert append(cloud, seen(range(5))).rows_loaded == 2
    assert left(cloud) == set()


def test_a_run_that_is_loading_keeps_its_table_however_long_it_takes(
    cloud: Cloud, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = put_object(cloud, "n.parquet", numbers(10))
    monkeypatch.setattr(staging, "TOUCH", dt.timedelta(seconds=0.2))
    monkeypatch.setattr(staging, "SILENCE", dt.timedelta(seconds=10))
    kept: list[bool] = []

    def overtake() -> None:  # by a run of the same slice, when the table is older than a silence may be
        (alive,) = left(cloud)
        made = cloud.bigquery.get_table(f"{cloud.dataset}.{alive}").created
        while dt.datetime.now(dt.UTC) - made <= 1.2 * staging.SILENCE:
            time.sleep(0.2)
        assert load_objects(cloud, uri).status == "loaded"
        kept.append(alive in left(cloud))

    before_request(proxy, TRANSACTION, overtake)
    assert load_objects(cloud, uri).status == "unchanged"
    assert kept == [True]
    assert left(cloud) == set()
    assert counts(cloud) == [(10, 10, 1)]


@pytest.mark.parametrize("word", [LOAD_JOB, TRANSACTION])
def test_a_run_that_stood_still_for_too_long_is_to_be_run_again(
    word: str, cloud: Cloud, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = put_object(cloud, "n.parquet", numbers(10))
    other = put_object(cloud, "other.parquet", numbers(10, 10))
    monkeypatch.setattr(staging, "TOUCH", LONG)
    monkeypatch.setattr(staging, "SILENCE", AT_ONCE)

    def take_it_for_dead() -> None:
        load_objects(cloud, other)

    before_request(proxy, word, take_it_for_dead)
    with pytest.raises(LoadError, match=r"staging table is gone\. This run stood still") as caught:
        load_objects(cloud, uri, flow_run="one")
    assert caught.value.retryable
    assert counts(cloud) == [(10, 10, 1)]
    assert left(cloud) == set()
    assert load_objects(cloud, uri, flow_run="one").rows_loaded == 10
    assert counts(cloud) == [(20, 20, 2)]


def test_a_run_that_died_after_its_commit_clears_up_when_it_is_run_again(cloud: Cloud, proxy: Proxy) -> None:
    uri = put_object(cloud, "n.parquet", numbers(10))
    proxy.faults = [Fault("status", "DELETE", "load_staging", status=503, times=99)]
    assert load_objects(cloud, uri, flow_run="one").status == "loaded"
    assert len(left(cloud)) == 1
    proxy.faults = []
    assert load_objects(cloud, uri, flow_run="one").status == "unchanged"
    assert left(cloud) == set()


def test_a_service_that_lists_no_tables_fails_no_load(cloud: Cloud, proxy: Proxy) -> None:
    uri = put_object(cloud, "n.parquet", numbers(10))
    append(cloud, seen([0]))
    proxy.faults = [Fault("status", "GET", r"/tables(\?|$)", status=503, times=99)]
    assert load_objects(cloud, uri).status == "loaded"
    assert append(cloud, seen([1])).rows_loaded == 1
    assert proxy.faults[0].times < 99


def test_no_table_to_load_into_has_the_name_of_a_staging_table(cloud: Cloud) -> None:
    uri = put_object(cloud, "n.parquet", numbers(10))
    with pytest.raises(LoadError, match=r"'load_staging_a_1' is no name of a table to load into"):
        load_objects(cloud, uri, "load_staging_a_1")
