"""Rows appended to a BigQuery table: one row a key, however often, in whatever batches, by however many at once."""

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from google.cloud import bigquery
from pyarrow import parquet as pq

from jobs.common import cloud as google
from jobs.common.bigquery import sql
from jobs.common.bigquery.append import Append, run
from jobs.common.bigquery.columns import table_columns
from jobs.common.errors import LoadError
from jobs.common.report import Report
from tests.conftest import Cloud
from tests.emulators.proxy import Fault, Proxy, proxied
from tests.integration.bigquery_loading import books, load_objects, numbers, put_object
from tests.integration.loading import LOG, SOON
from tests.integration.test_append_postgres import DAY, KEY, NOON, SEEN, seen
from tests.integration.test_bigquery_together import TRANSACTION, before_passing

UPLOAD = "sourceFormat"
CHILD = """
import sys
from logging import getLogger
from pyarrow import parquet
from jobs.common import cloud
from jobs.common.bigquery.append import Append, run
rows, key = parquet.read_table(sys.argv[2]), tuple(sys.argv[3:])
job = Append(sys.argv[1], "seen", rows, key, "timestamp", "late buses", flow_run="one")
print(run(job, cloud.bigquery_client("none"), getLogger()).rows_loaded)
"""


@pytest.fixture
def proxy(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What jobs take for BigQuery: the emulator behind a proxy that can break."""
    with proxied(os.environ["BIGQUERY_EMULATOR_HOST"]) as between:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", between.url)
        yield between


def append(cloud: Cloud, rows: pa.Table, **options: Any) -> Report:
    wanted = {"table": "seen", "key": KEY, "moment": "timestamp", "title": "late buses", "cluster": ("trip_id",)}
    job = Append(cloud.dataset, rows=rows, **wanted | options)
    return run(job, google.bigquery_client("none"), LOG, SOON)


def appending(cloud: Cloud, path: Path, rows: pa.Table) -> "subprocess.Popen[str]":
    """Append the rows in a process of its own, which can be killed; it prints how many were new."""
    pq.write_table(rows, path)
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, cloud.dataset, str(path), *KEY], stdout=subprocess.PIPE, text=True
    )


def counts(cloud: Cloud) -> tuple[int, int]:
    """Rows, and keys."""
    keys = f"(SELECT COUNT(*) FROM (SELECT DISTINCT {sql.names(KEY)} FROM seen))"
    return cloud.rows(f"SELECT COUNT(*), {keys} FROM seen")[0]


def tables(cloud: Cloud) -> set[str]:
    return {table.table_id for table in cloud.bigquery.list_tables(cloud.dataset)}


def test_rows_appended_twice_are_there_once(cloud: Cloud) -> None:
    first, again = (append(cloud, seen(range(100))) for _ in range(2))
    assert (first.status, first.rows_read, first.dropped, first.rows_loaded) == (
        "loaded",
        100,
        {"there already": 0},
        100,
    )
    assert (again.status, again.rows_read, again.dropped, again.rows_loaded) == (
        "loaded",
        100,
        {"there already": 100},
        0,
    )
    assert counts(cloud) == (100, 100)
    assert tables(cloud) == {"seen", "load_ledger", "load_lock"}


def test_of_batches_that_overlap_only_the_new_rows_are_appended(cloud: Cloud) -> None:
    reports = [append(cloud, seen(range(start, start + 50))) for start in (0, 30, 10, 80, 20)]
    assert [report.rows_loaded for report in reports] == [50, 30, 0, 50, 0]
    assert counts(cloud) == (130, 130)


def test_of_rows_with_one_key_the_first_stays(cloud: Cloud) -> None:
    twice = pa.concat_tables([seen([1, 2], late=11.0), seen([2, 3], late=12.0), seen([3, 3], late=13.0)])
    report = append(cloud, twice)
    assert (report.rows_read, report.dropped, report.rows_loaded) == (6, {"there already": 3}, 3)
    append(cloud, seen([1, 2, 3], late=14.0))
    found = cloud.rows("SELECT trip_id, time_diff FROM seen ORDER BY 1")
    assert found == [("VJ000001", 11.0), ("VJ000002", 11.0), ("VJ000003", 12.0)]


@pytest.mark.parametrize(
    "other",
    [
        {"trip_id": "x"},
        {"start_date": DAY - dt.timedelta(days=1)},
        {"stop_sequence": 8},
        {"timestamp": NOON + dt.timedelta(microseconds=1)},
    ],
    ids=KEY,
)
def test_rows_that_differ_in_one_column_of_the_key_are_two(other: dict[str, Any], cloud: Cloud) -> None:
    row = seen([0]).to_pylist()[0]
    append(cloud, pa.Table.from_pylist([row], schema=SEEN))
    assert append(cloud, pa.Table.from_pylist([row, row | other], schema=SEEN)).rows_loaded == 1


def test_the_table_is_partitioned_by_the_day_in_utc_and_sorted_as_asked(cloud: Cloud) -> None:
    summer = dt.timezone(dt.timedelta(hours=1))
    stamps = [dt.datetime(2026, 7, 2, 0, 59, tzinfo=summer), dt.datetime(2026, 7, 2, 1, 0, tzinfo=summer)]
    rows = seen([1, 2]).set_column(3, "timestamp", pa.array(stamps, pa.timestamp("us", "Europe/London")))
    assert [append(cloud, rows).rows_loaded for _ in range(2)] == [2, 0]
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


def test_ids_times_nulls_and_empty_texts_stay_what_they_are(cloud: Cloud) -> None:
    stamp = dt.datetime(2026, 10, 25, 0, 59, 59, 999999, tzinfo=dt.UTC)
    rows = [
        ("VJ00a-007", DAY, 0, stamp, "25:10:00", None, None),
        ("0012", DAY, 1, stamp, None, -0.5, True),
        ("", DAY, 2, stamp, "", float("inf"), False),
        ("Ünïcode\r\n\t\\N'\"%s", DAY, 2_147_483_647, stamp, "47:59:59", None, None),
    ]
    table = pa.Table.from_pylist([dict(zip(SEEN.names, row, strict=True)) for row in rows], schema=SEEN)
    assert [append(cloud, table).rows_loaded for _ in range(2)] == [4, 0]
    assert cloud.contents("seen") == sorted(((*row, DAY) for row in rows), key=repr)


def test_a_column_of_nulls_only_makes_a_column_of_its_type(cloud: Cloud) -> None:
    append(cloud, seen(range(3)).set_column(5, SEEN.field("time_diff"), pa.nulls(3, pa.float64())))
    append(cloud, seen([7]))
    assert cloud.rows("SELECT COUNT(*), COUNT(time_diff), MAX(time_diff) FROM seen") == [(4, 1, 12.5)]


def test_no_rows_make_no_dataset_and_no_table(cloud: Cloud) -> None:
    report = append(cloud, seen([]))
    assert (report.status, report.rows_read, report.rows_loaded) == ("unchanged", 0, 0)
    assert books(cloud) == {}
    append(cloud, seen([1]))
    assert append(cloud, seen([])).status == "unchanged"
    assert counts(cloud) == (1, 1)


def test_the_order_of_the_columns_is_free(cloud: Cloud) -> None:
    append(cloud, seen(range(5)))
    assert append(cloud, seen(range(3, 8)).select(SEEN.names[::-1])).rows_loaded == 3
    found = cloud.rows("SELECT COUNT(*) FROM seen WHERE departure_time = '25:10:00' AND trip_id LIKE 'VJ%'")
    assert found == [(8,)]


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
            seen([6, 7]).set_column(0, "trip_id", pa.array(["VJ1", None])),
            "late buses, row 2, column 'trip_id' is empty, but part of the key trip_id, start_date",
        ),
        (seen([7]).drop_columns("timestamp"), "late buses has no column 'timestamp', which is part of the key"),
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
        "a null in the key",
        "a key column missing",
        "a moment that is none",
        "a column of our name",
    ],
)
def test_rows_that_the_table_cannot_take_change_nothing(rows: pa.Table, says: str, cloud: Cloud) -> None:
    append(cloud, seen(range(5)))
    before = books(cloud)
    with pytest.raises(LoadError) as caught:
        append(cloud, rows)
    assert says in str(caught.value)
    assert not caught.value.transient
    assert books(cloud) == before


def test_a_moment_outside_the_key_is_refused(cloud: Cloud) -> None:
    with pytest.raises(LoadError, match="late buses: 'timestamp' is not in the key trip_id"):
        append(cloud, seen([1]), key=("trip_id",))  # rows of one key could be in two partitions


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
    one = appending(cloud, tmp_path / "one.parquet", seen(range(1, 6_000)))
    two = appending(cloud, tmp_path / "two.parquet", seen(range(8_999, 3_000, -1)))
    with one, two:
        loaded = [int(process.communicate(timeout=120)[0]) for process in (one, two)]
    assert (one.returncode, two.returncode, len(met)) == (0, 0, 2)
    assert sum(loaded) == 8_999
    assert counts(cloud) == (9_000, 9_000)


def test_first_appends_to_a_new_dataset_at_once(cloud: Cloud) -> None:
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda start: append(cloud, seen(range(start, start + 200))), range(0, 400, 100)))
    assert sum(report.rows_loaded for report in reports) == 500
    assert counts(cloud) == (500, 500)
    assert tables(cloud) == {"seen", "load_ledger", "load_lock"}


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
    before = books(cloud)

    def go() -> Fault:
        proxy.faults = [Fault("cut", method, "", times=99) for method in ("POST", "GET", "PUT", "DELETE")]
        return Fault("cut")

    before_passing(proxy, word, go)
    with pytest.raises(LoadError, match="Is the service up") as caught:
        append(cloud, seen(range(5, 20)))
    assert caught.value.transient
    now = books(cloud)
    assert {name: now[name] for name in before} == before
    proxy.faults = []
    assert append(cloud, seen(range(5, 20))).rows_loaded == 10


@pytest.mark.parametrize("word", [UPLOAD, TRANSACTION])
def test_kill_9_before_a_step_changes_nothing(word: str, cloud: Cloud, proxy: Proxy, tmp_path: Path) -> None:
    append(cloud, seen(range(10)))
    before = books(cloud)
    processes: list[subprocess.Popen[str]] = []
    killed = threading.Event()

    def kill() -> Fault:
        processes[0].send_signal(signal.SIGKILL)
        killed.set()
        return Fault("cut")

    before_passing(proxy, word, kill)
    with appending(cloud, tmp_path / "rows.parquet", seen(range(5, 20))) as process:
        processes.append(process)
    assert killed.is_set()
    now = books(cloud)
    assert {name: now[name] for name in before} == before
    with appending(cloud, tmp_path / "rows.parquet", seen(range(5, 20))) as again:  # the same run goes on
        assert again.communicate(timeout=120)[0] == "10\n"
    assert counts(cloud) == (20, 20)


def test_kill_9_during_the_transaction_leaves_all_new_rows_or_none(cloud: Cloud, proxy: Proxy, tmp_path: Path) -> None:
    append(cloud, seen(range(10)))
    processes: list[subprocess.Popen[str]] = []
    before_passing(
        proxy, TRANSACTION, lambda: threading.Timer(0.05, processes[0].send_signal, [signal.SIGKILL]).start()
    )
    with appending(cloud, tmp_path / "rows.parquet", seen(range(100_000))) as process:
        processes.append(process)
    assert process.returncode == -signal.SIGKILL
    assert counts(cloud) in {(10, 10), (100_000, 100_000)}
    append(cloud, seen(range(100_000)))
    assert counts(cloud) == (100_000, 100_000)
