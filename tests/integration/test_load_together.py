"""Loads at the same time, readers in the middle, and loads that are killed."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2
import pytest

from longshore.errors import LoadError
from standins.web.server import Fault, Site
from tests.conftest import Database
from tests.integration.loading import load_file, put

COLUMNS = {"n": "integer"}


def numbers(count: int, start: int = 0) -> bytes:
    return b"n\n" + b"".join(b"%d\n" % i for i in range(start, start + count))


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def backends(database: Database, like: str) -> list[int]:
    sql = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE :like AND state = 'active'"
    )
    return [pid for (pid,) in database.rows(sql + " AND state = 'active' AND pid <> pg_backend_pid()", like=like)]


def stalled(site: Site, name: str, data: bytes) -> str:
    """A file of which the first 4 MB come, and then nothing."""
    url = put(site, name, data)
    site.faults[f"/files/{name}"] = [Fault(stall_after=4_000_000)]
    return url


def test_of_two_runs_of_one_slice_one_waits_and_both_end_well(
    database: Database, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    url = put(site, "a.csv", numbers(200_000))
    site.faults["/files/a.csv"] = [Fault(bytes_per_second=1_000_000)]
    with caplog.at_level(logging.INFO, "tests"), ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda _: load_file(database, url, columns=COLUMNS), range(2)))
    assert sorted(report.status for report in reports) == ["loaded", "unchanged"]
    assert "Another run is loading" in caplog.text
    assert database.rows("SELECT count(*), count(DISTINCT n) FROM t") == [(200_000, 200_000)]


def test_two_slices_of_one_new_table_at_once(database: Database, site: Site) -> None:
    urls = [put(site, f"{i}.csv", numbers(50_000, i * 50_000)) for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda url: load_file(database, url, columns=COLUMNS), urls))
    assert [report.rows_loaded for report in reports] == [50_000] * 4
    assert database.rows("SELECT count(*), count(DISTINCT n), count(DISTINCT slice_id) FROM t") == [
        (200_000, 200_000, 4)
    ]


def test_a_reader_sees_the_old_rows_or_the_new_and_nothing_between(database: Database, site: Site) -> None:
    url = put(site, "a.csv", numbers(100_000))
    load_file(database, url, columns=COLUMNS)
    put(site, "a.csv", numbers(300_000))
    seen = set()
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load_file, database, url, columns=COLUMNS)
        while not loading.done():
            seen.add(database.rows("SELECT count(*), (SELECT rows_loaded FROM load_ledger) FROM t")[0])
        loading.result()
    assert seen <= {(100_000, 100_000), (300_000, 300_000)}
    assert (100_000, 100_000) in seen
    assert database.value("SELECT count(*) FROM t") == 300_000


def test_an_error_leaves_no_connection_and_no_thread(database: Database, site: Site) -> None:
    import threading

    url = put(site, "a.csv", numbers(800_000) + b"x\n")
    threads = threading.active_count()
    for _ in range(3):
        with pytest.raises(LoadError):
            load_file(database, url, columns=COLUMNS)
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]
    assert threading.active_count() <= threads + 3  # of the stand-in website
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    wait_until(lambda: bool(database.value(sql) == 0))


def test_a_copy_that_fails_stops_the_threads_that_feed_it(database: Database, site: Site) -> None:
    database.run("CREATE TABLE t (n integer CHECK (n <> 5), slice_id integer)")
    with pytest.raises(LoadError, match="violates check constraint"):
        load_file(database, put(site, "a.csv", numbers(2_000_000)), columns=COLUMNS)
    assert database.contents("t") == []


def flow_process(database: Database, url: str) -> "subprocess.Popen[bytes]":
    """The whole flow in a process of its own, which can be killed."""
    command = [
        sys.executable,
        "-m",
        "jobs.web_to_postgres",
        "--url",
        url,
        "--table",
        "t",
        "--columns",
        '{"n": "integer"}',
    ]
    return subprocess.Popen(command, env={**os.environ, "WAREHOUSE_URL": database.url}, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("reload", [False, True], ids=["new", "reload"])
def test_kill_9_of_the_flow_process_in_mid_load_changes_nothing(reload: bool, database: Database, site: Site) -> None:
    url = put(site, "a.csv", numbers(1_000))
    if reload:
        load_file(database, url, columns=COLUMNS)
    before = (database.contents("t"), database.contents("load_ledger")) if reload else None
    stalled(site, "a.csv", numbers(1_000_000))
    with flow_process(database, url) as process:
        wait_until(lambda: bool(backends(database, "COPY%")))
        process.send_signal(signal.SIGKILL)
    wait_until(lambda: not backends(database, "COPY%"))
    if reload:
        assert (database.contents("t"), database.contents("load_ledger")) == before
    else:
        assert database.value("SELECT to_regclass('t')") is None
    assert load_file(database, url, columns=COLUMNS).rows_loaded == 1_000_000
    assert database.rows("SELECT count(*), count(DISTINCT n) FROM t") == [(1_000_000, 1_000_000)]


def test_kill_9_of_the_postgres_backend_in_mid_load_changes_nothing(database: Database, site: Site) -> None:
    url = put(site, "a.csv", numbers(1_000))
    load_file(database, url, columns=COLUMNS)
    before = database.contents("t"), database.contents("load_ledger")
    put(site, "a.csv", numbers(1_000_000))
    site.faults["/files/a.csv"] = [Fault(bytes_per_second=2_000_000)]
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load_file, database, url, columns=COLUMNS)
        wait_until(lambda: bool(backends(database, "COPY%")))
        os.kill(backends(database, "COPY%")[0], signal.SIGKILL)
        with pytest.raises(LoadError, match="cannot be reached or went away") as caught:
            loading.result()
    assert caught.value.retryable  # so the task tries again

    def recovered() -> bool:
        try:
            psycopg2.connect(database.url).close()
        except psycopg2.OperationalError:
            return False
        return True

    wait_until(recovered)
    assert (database.contents("t"), database.contents("load_ledger")) == before
    assert load_file(database, url, columns=COLUMNS).rows_loaded == 1_000_000
    assert database.rows("SELECT count(*), count(DISTINCT n) FROM t") == [(1_000_000, 1_000_000)]


def test_a_changed_rule_loads_the_slice_anew(database: Database, site: Site) -> None:
    from longshore.datasets.taxi import NO_ZERO_PASSENGERS

    url = put(site, "a.csv", b"passenger_count\n0\n1\n\n")
    jobs: list[dict[str, Any]] = [{"rule": NO_ZERO_PASSENGERS}, {}, {}]
    reports = [load_file(database, url, slice="s", **job) for job in jobs]
    assert [report.status for report in reports] == ["loaded", "loaded", "unchanged"]
    assert [report.rows_loaded for report in reports] == [1, 2, 0]
