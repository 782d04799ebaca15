"""Rows appended to a BigQuery table: its partitions, what it refuses, and what happens together and when it breaks."""

import datetime as dt
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from google.cloud import bigquery

from longshore.errors import LoadError
from longshore.sinks.bigquery import sql
from longshore.sinks.bigquery.columns import table_columns
from standins.google.proxy import Fault, Proxy, proxied
from tests.conftest import Cloud
from tests.integration.appending import DAY, append, appending, counts, refused, seen
from tests.integration.bigquery_loading import load_objects, numbers, put_object, tables
from tests.integration.test_bigquery_together import TRANSACTION, before_request

UPLOAD = "sourceFormat"
CHILD = """
from longshore.flows import blocks
from longshore.sinks.bigquery.append import Append, run
job = Append(target, "seen", rows, key, "timestamp", "late buses", flow_run="one")
print(run(job, blocks.bigquery_client("none"), getLogger()).rows_loaded)
"""


@pytest.fixture
def proxy(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What jobs take for BigQuery: the emulator behind a proxy that can break."""
    with proxied(os.environ["BIGQUERY_EMULATOR_HOST"]) as between:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", between.url)
        yield between


def test_the_table_is_partitioned_by_the_day_in_utc_and_sorted_as_asked(cloud: Cloud) -> None:
    summer = dt.timezone(dt.timedelta(hours=1))
    stamps = [dt.datetime(2026, 7, 2, 0, 59, tzinfo=summer), dt.datetime(2026, 7, 2, 1, 0, tzinfo=summer)]
    rows = seen([1, 2]).set_column(3, "timestamp", pa.array(stamps, pa.timestamp("us", "Europe/London")))
    assert [append(cloud, rows).rows_loaded for _ in range(2)] == [2, 0]
    assert {one.table_id for one in cloud.bigquery.list_tables(cloud.dataset)} == {"seen", "load_ledger", "load_lock"}
    assert cloud.rows("SELECT observation_day FROM seen ORDER BY 1") == [(dt.date(2026, 7, 1),), (dt.date(2026, 7, 2),)]
    table = cloud.bigquery.get_table(f"{cloud.dataset}.seen")
    assert (table.time_partitioning.type_, table.time_partitioning.field) == ("DAY", "observation_day")
    assert table.clustering_fields == ["trip_id"]
    assert table_columns(table) == {
        "trip_id": "STRING",
        "start_date": "DATE",
        "stop_sequence": "INT64",
        "timestamp": "TIMESTAMP",
        "departure_time": "STRING",
        "time_diff": "FLOAT64",
        "far": "BOOL",
        "observation_day": "DATE",
    }


def test_only_the_partitions_of_the_rows_are_searched() -> None:
    place = sql.Place(bigquery.DatasetReference("p", "d"), "seen")
    days = [dt.date(2026, 7, 1), dt.date(2026, 7, 2)]
    script = sql.append(place, place.dataset.table("staging"), ["a"], ["a"], days)
    assert "WHERE there.`observation_day` IN (DATE '2026-07-01', DATE '2026-07-02') AND" in script


def test_a_transaction_first_changes_the_row_that_all_have_in_common() -> None:
    place = sql.Place(bigquery.DatasetReference("p", "d"), "seen")
    script = sql.append(place, place.dataset.table("staging"), ["a"], ["a"], [dt.date(2026, 7, 1)])
    assert script.startswith("BEGIN TRANSACTION;\nUPDATE `p.d.load_lock` SET held = TRUE")  # the emulator needs none


def test_a_dataset_of_loads_takes_appends_too(cloud: Cloud) -> None:
    uri = put_object(cloud, "n.parquet", numbers(10))
    load_objects(cloud, uri)
    assert append(cloud, seen(range(5))).rows_loaded == 5
    assert load_objects(cloud, uri).status == "unchanged"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (seen([7]).drop_columns("far"), "has other columns than late buses: it has far, which nobody expects"),
        (seen([7]).append_column("speed", pa.array([1.0])), "has other columns than late buses: it lacks speed"),
        (
            seen([7]).set_column(5, "time_diff", pa.array(["12 minutes"])),
            "column 'time_diff' is FLOAT64, but STRING in late buses",
        ),
        (
            seen([7]).append_column("service_days", pa.array([[DAY]])),
            "late buses: column 'service_days' is list<item: date32[day]>, for which BigQuery has no type",
        ),
        (
            seen([7]).set_column(3, "timestamp", pa.array(["yesterday"])),
            "late buses, column 'timestamp' is string, not a timestamp",
        ),
        (
            seen([7]).append_column("observation_day", pa.array([DAY])),
            "late buses: column 'observation_day' has the name of our own",
        ),
    ],
    ids=[
        "a column too few",
        "a column too many",
        "another type",
        "a list",
        "a moment that is none",
        "a column of our name",
    ],
)
def test_rows_that_the_table_cannot_take_change_nothing(rows: pa.Table, says: str, cloud: Cloud) -> None:
    append(cloud, seen(range(5)))
    assert says in refused(cloud, rows)


def test_a_moment_outside_the_key_is_refused(cloud: Cloud) -> None:
    says = "late buses: 'timestamp' is not in the key trip_id"
    assert says in refused(cloud, seen([1]), key=("trip_id",))  # rows of one key could be in two partitions


def test_a_table_without_our_partitions_is_refused(cloud: Cloud) -> None:
    append(cloud, seen([1]), table="other")
    table = bigquery.Table(
        f"{cloud.bigquery.project}.{cloud.dataset}.seen", cloud.bigquery.get_table(f"{cloud.dataset}.other").schema
    )
    cloud.bigquery.create_table(table)
    with pytest.raises(LoadError, match=r"seen is not partitioned by 'observation_day'"):
        append(cloud, seen([1]))
    assert cloud.contents("seen") == []


def test_a_view_takes_no_rows(cloud: Cloud) -> None:
    append(cloud, seen([1]), table="other")
    view = bigquery.Table(f"{cloud.bigquery.project}.{cloud.dataset}.seen")
    view.view_query = f"SELECT * FROM `{cloud.dataset}.other`"
    cloud.bigquery.create_table(view)
    with pytest.raises(LoadError, match=r"seen is a VIEW. Load into another table."):
        append(cloud, seen([1]))


def test_two_processes_at_once_append_each_row_once(cloud: Cloud, proxy: Proxy, tmp_path: Path) -> None:
    append(cloud, seen([0]))
    both, usual = threading.Barrier(2, timeout=120), proxy.due

    def due(method: str, path: str, body: bytes) -> Fault | None:
        fault = usual(method, path, body)
        if TRANSACTION.encode() in body and not both.broken and len(met) < 2:
            met.append(path)
            both.wait()  # their first transactions begin together
        return fault

    met: list[str] = []
    proxy.due = due  # type: ignore[method-assign]
    one = appending(CHILD, cloud.dataset, tmp_path / "one.parquet", seen(range(1, 6_000)))
    two = appending(CHILD, cloud.dataset, tmp_path / "two.parquet", seen(range(8_999, 3_000, -1)))
    with one, two:
        loaded = [int(process.communicate(timeout=120)[0]) for process in (one, two)]
    assert (one.returncode, two.returncode, len(met)) == (0, 0, 2)
    assert sum(loaded) == 8_999
    assert counts(cloud) == (9_000, 9_000)


@pytest.mark.parametrize(("method", "word"), [("POST", UPLOAD), ("PUT", "upload"), ("POST", TRANSACTION)])
def test_an_answer_that_is_lost_appends_nothing_twice(method: str, word: str, cloud: Cloud, proxy: Proxy) -> None:
    append(cloud, seen([0]))
    proxy.faults = [Fault("mute", method, word)]
    assert append(cloud, seen(range(1_000))).status == "loaded"
    assert not proxy.faults[0].times
    assert counts(cloud) == (1_000, 1_000)


@pytest.mark.parametrize(("method", "word"), [("POST", UPLOAD), ("PUT", "upload"), ("POST", TRANSACTION)])
def test_what_may_pass_is_tried_again(method: str, word: str, cloud: Cloud, proxy: Proxy) -> None:
    append(cloud, seen([0]))
    proxy.faults = [Fault("status", method, word, status=503)]
    assert append(cloud, seen(range(1_000))).rows_loaded == 999
    assert not proxy.faults[0].times


@pytest.mark.parametrize("word", [UPLOAD, TRANSACTION])
def test_a_service_that_is_gone_in_mid_append_changes_nothing(word: str, cloud: Cloud, proxy: Proxy) -> None:
    append(cloud, seen(range(10)))
    before = tables(cloud)

    def go() -> Fault:
        proxy.faults = [Fault("cut", method, "", times=99) for method in ("POST", "GET", "PUT", "DELETE")]
        return Fault("cut")

    before_request(proxy, word, go)
    with pytest.raises(LoadError, match="Is the service up") as caught:
        append(cloud, seen(range(5, 20)))
    assert caught.value.retryable
    now = tables(cloud)
    assert {name: now[name] for name in before} == before
    proxy.faults = []
    assert append(cloud, seen(range(5, 20))).rows_loaded == 10


@pytest.mark.parametrize("word", [UPLOAD, TRANSACTION])
def test_kill_9_before_a_step_changes_nothing(word: str, cloud: Cloud, proxy: Proxy, tmp_path: Path) -> None:
    append(cloud, seen(range(10)))
    before = tables(cloud)
    processes: list[subprocess.Popen[str]] = []
    killed = threading.Event()

    def kill() -> Fault:
        processes[0].send_signal(signal.SIGKILL)
        killed.set()
        return Fault("cut")

    before_request(proxy, word, kill)
    with appending(CHILD, cloud.dataset, tmp_path / "rows.parquet", seen(range(5, 20))) as process:
        processes.append(process)
    assert killed.is_set()
    now = tables(cloud)
    assert {name: now[name] for name in before} == before
    with appending(CHILD, cloud.dataset, tmp_path / "rows.parquet", seen(range(5, 20))) as again:  # the same run
        assert again.communicate(timeout=120)[0] == "10\n"
    assert counts(cloud) == (20, 20)


def test_kill_9_during_the_transaction_leaves_all_new_rows_or_none(cloud: Cloud, proxy: Proxy, tmp_path: Path) -> None:
    append(cloud, seen(range(10)))
    processes: list[subprocess.Popen[str]] = []
    before_request(
        proxy, TRANSACTION, lambda: threading.Timer(0.05, processes[0].send_signal, [signal.SIGKILL]).start()
    )
    with appending(CHILD, cloud.dataset, tmp_path / "rows.parquet", seen(range(100_000))) as process:
        processes.append(process)
    assert process.returncode == -signal.SIGKILL
    assert counts(cloud) in {(10, 10), (100_000, 100_000)}
    append(cloud, seen(range(100_000)))
    assert counts(cloud) == (100_000, 100_000)
