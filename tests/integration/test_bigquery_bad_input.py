"""Bad input on the way into BigQuery: a message that says what and where, table and ledger as before."""

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
import pytest
from google.cloud import bigquery

from jobs.gcs_to_bigquery.flow import gcs_to_bigquery
from longshore.errors import LoadError
from longshore.schemas import declared_schema
from longshore.sinks.bigquery import footers, load
from standins.google.proxy import Fault, Proxy, proxied
from tests.conftest import Cloud
from tests.integration.bad_input_table import noted
from tests.integration.bigquery_loading import load_objects, put_object, tables
from tests.integration.loading import parquet

COLUMNS = declared_schema({"n": "integer", "s": "text"})
GOOD = pa.Table.from_pylist([{"n": i, "s": str(i)} for i in range(1000)], schema=COLUMNS)
PACKED = parquet(GOOD)


@pytest.fixture
def loaded(cloud: Cloud) -> Iterator[tuple[Cloud, str]]:
    """A table with one slice; whatever a test does to its source must leave both table and ledger as they are."""
    uri = put_object(cloud, "raw/a.parquet", GOOD)
    load_objects(cloud, uri, schema=COLUMNS)
    before = tables(cloud)
    yield cloud, uri
    now = tables(cloud)
    assert {name: now.get(name) for name in before} == before
    assert not [name for name in now if name.startswith("load_staging")]


@pytest.fixture
def proxies(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Proxy]]:
    """What jobs take for Google Cloud: the emulators behind proxies that can break."""
    with ExitStack() as stack:
        found = {}
        for name in ("STORAGE", "BIGQUERY"):
            setting = f"{name}_EMULATOR_HOST"
            found[name] = stack.enter_context(proxied(os.environ[setting]))
            monkeypatch.setenv(setting, found[name].url)
        yield found


def refused(cloud: Cloud, uri: str, **options: Any) -> str:
    with pytest.raises(LoadError) as caught:
        load_objects(cloud, uri, **{"schema": COLUMNS} | options)
    return noted(str(caught.value))


# what -> the object's bytes, and what the message says of it
DAMAGED = PACKED[:4] + b"\xff" * 60 + PACKED[64:]
OBJECTS: dict[str, tuple[bytes | pa.Table, str]] = {
    "csv as Parquet": (b"n,s\n1,a\n", "is not Parquet, or was cut off: it ends with b'n,s"),
    "empty object": (b"", "is not Parquet, or was cut off: it ends with b''"),
    "truncated Parquet": (PACKED[:-100], "is not Parquet, or was cut off"),
    "nonsense that ends as Parquet does": (b"PAR1" + b"\xee" * 40 + b"\x20\0\0\0PAR1", "is damaged Parquet: "),
    "a length beyond the object": (b"PAR1\xff\xff\0\0PAR1", "is not Parquet, or was cut off"),
    "damaged page": (DAMAGED, "Error while reading data, error message: "),
    "other type": (GOOD.set_column(0, "n", pa.array([1.5] * 1000)), "column 'n' is FLOAT64, but INT64 in the data set"),
    "a column too few": (GOOD.drop_columns(["s"]), "has other columns than the data set: it lacks s."),
    "a column too many": (GOOD.append_column("x", pa.array([1] * 1000)), "it has x, which nobody expects"),
    "nanoseconds": (
        pa.table({"n": [1], "s": pa.array([dt.datetime(2021, 1, 1)], pa.timestamp("ns"))}),
        "column 's' is timestamp[ns], for which BigQuery has no type. Write it as another one.",
    ),
    "nested column": (pa.table({"n": [1], "s": [[1, 2]]}), "column 's' is list<element: int64>, for which BigQuery"),
    "column name with a space": (pa.table({"n": [1], "a b": [1]}), "column 'a b': BigQuery takes names of letters"),
    "names that differ in case": (pa.table({"n": [1], "N": [1]}), "column 'N' is there twice"),
}


@pytest.mark.parametrize("what", OBJECTS)
def test_a_bad_object_is_refused(what: str, loaded: tuple[Cloud, str]) -> None:
    cloud, uri = loaded
    data, says = OBJECTS[what]
    put_object(cloud, "raw/a.parquet", data)
    message = refused(cloud, uri)
    assert uri in message
    assert says in message


def test_an_object_that_does_not_fit_the_table_of_any_objects(loaded: tuple[Cloud, str]) -> None:
    cloud, _ = loaded
    uri = put_object(cloud, "raw/b.parquet", pa.table({"n": ["x"], "s": ["y"]}))
    assert f"{uri}: column 'n' is STRING, but INT64 in table {cloud.dataset}.t." in refused(cloud, uri, schema=None)


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (GOOD.set_column(1, "s", pa.array([1] * 1000)), "c/2.parquet: column 's' is INT64, but STRING in gs://"),
        (GOOD.select(["s", "n"]), "c/2.parquet: column 's' is at another place than in gs://"),
        (b"x", "c/2.parquet is not Parquet"),
    ],
    ids=["one of many objects has another type", "one of many has another order", "one of many is not Parquet"],
)
def test_one_of_many_objects_is_bad(second: pa.Table | bytes, says: str, cloud: Cloud) -> None:
    put_object(cloud, "c/1.parquet", GOOD)
    put_object(cloud, "c/2.parquet", second)
    assert says in refused(cloud, f"gs://{cloud.bucket.name}/c/*.parquet", schema=None)
    assert tables(cloud) == {}


def test_a_column_with_the_name_of_our_own(cloud: Cloud) -> None:
    uri = put_object(cloud, "own.parquet", pa.table({"load_slice": ["x"]}))
    assert "column 'load_slice' has the name of our own. Rename it." in refused(cloud, uri, schema=None)


@pytest.mark.parametrize(
    "name",
    ["raw/missing.parquet", "raw/a.parq", "none/*.parquet"],
    ids=["no such object", "the beginning of a name", "no object of the pattern"],
)
def test_objects_that_are_not_there(name: str, loaded: tuple[Cloud, str]) -> None:
    cloud, _ = loaded
    message = refused(cloud, f"gs://{cloud.bucket.name}/{name}")
    assert ("no object matches" if "*" in name else "there is no such object") in message
    assert "Is the address right?" in message


def test_a_month_that_is_not_in_the_bucket(cloud: Cloud) -> None:
    state: Any = gcs_to_bigquery(year=2021, months=[3], return_state=True)
    assert state.is_failed()
    assert "there is no such object. Copy it there first: python -m jobs.web_to_gcs" in noted(str(state.message))
    assert tables(cloud) == {}


def test_a_missing_bucket(loaded: tuple[Cloud, str]) -> None:
    assert "there is no bucket no-such-bucket" in refused(loaded[0], "gs://no-such-bucket/a.parquet")


def test_a_bucket_that_may_not_be_read(loaded: tuple[Cloud, str], proxies: dict[str, Proxy]) -> None:
    cloud, uri = loaded
    proxies["STORAGE"].faults = [Fault("status", "GET", status=403, reason="forbidden", times=99)]
    assert "access is refused" in refused(cloud, uri, force=True)


@pytest.mark.parametrize(
    ("method", "match"),
    [("GET", "/datasets/"), ("POST", "load_id"), ("POST", "sourceUris"), ("POST", "BEGIN TRANSACTION")],
    ids=["no right to see the dataset", "no right to query", "no right to load", "no right to change the table"],
)
def test_a_right_that_is_missing(method: str, match: str, loaded: tuple[Cloud, str], proxies: dict[str, Proxy]) -> None:
    cloud, uri = loaded
    proxies["BIGQUERY"].faults = [Fault("status", method, match, status=403, reason="accessDenied", times=99)]
    message = refused(cloud, uri, force=True)
    assert "access is refused: " in message
    assert "The account needs the roles BigQuery Data Editor on the dataset and Job User" in message


def test_a_quota_that_is_used_up_may_pass(loaded: tuple[Cloud, str], proxies: dict[str, Proxy]) -> None:
    cloud, uri = loaded
    proxies["BIGQUERY"].faults = [Fault("status", "POST", "sourceUris", status=403, reason="quotaExceeded", times=99)]
    with pytest.raises(LoadError, match="quotaExceeded") as caught:
        load_objects(cloud, uri, force=True)
    assert caught.value.retryable


def test_a_dataset_that_may_not_be_made(cloud: Cloud, proxies: dict[str, Proxy]) -> None:
    uri = put_object(cloud, "raw/a.parquet", GOOD)
    proxies["BIGQUERY"].faults = [Fault("status", "POST", "/datasets", status=403, reason="accessDenied", times=99)]
    message = refused(cloud, uri, location="EU")
    assert f"bq mk --location=EU --dataset {cloud.bigquery.project}:{cloud.dataset}" in message


def test_a_dataset_is_made_by_an_account_that_may_not_see_where_the_bucket_is(
    cloud: Cloud, proxies: dict[str, Proxy]
) -> None:
    uri = put_object(cloud, "raw/a.parquet", GOOD)
    where = rf"/b/{cloud.bucket.name}\?"
    proxies["STORAGE"].faults = [Fault("status", "GET", where, status=403, reason="forbidden", times=99)]
    assert load_objects(cloud, uri).status == "loaded"
    assert proxies["STORAGE"].faults[0].times < 99


def test_a_dataset_in_another_location(loaded: tuple[Cloud, str]) -> None:
    cloud, uri = loaded
    message = refused(cloud, uri, location="asia-east1", force=True)
    assert f"{cloud.dataset} is in US, not in asia-east1, and cannot be moved" in message


def test_another_number_of_rows_than_the_footers_say(
    loaded: tuple[Cloud, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud, uri = loaded
    wrong = footers.Footers(999, {"n": "INT64", "s": "STRING"}, 0)
    monkeypatch.setattr(load, "read_footers", lambda *_: wrong)
    assert "the load job brought another number of rows than the footers" in refused(cloud, uri, force=True)


def field(name: str, kind: str) -> bigquery.SchemaField:
    return bigquery.SchemaField(name, kind)


MONTH, N, S = field("month", "DATE"), field("n", "INT64"), field("s", "STRING")


@pytest.mark.parametrize(
    ("columns", "partition", "says"),
    [
        ([N, S], None, "has no column 'month' (DATE) that tells the slices apart"),
        ([N, S, field("month", "STRING")], None, "has no column 'month' (DATE)"),
        ([N, S, MONTH], None, "is partitioned by nothing, not by 'month'"),
        ([N, S, MONTH, field("d", "DATE")], "d", "is partitioned by d, not by 'month'"),
        ([N, MONTH], "month", "has other columns than the slice: it lacks s."),
        ([field("n", "DATE"), S, MONTH], "month", "column 'n' is DATE, but INT64 in the slice"),
    ],
    ids=[
        "a table without month",
        "a table with another month",
        "a table without partitions",
        "a table partitioned otherwise",
        "a table that lacks a column",
        "a table with another type",
    ],
)
def test_a_table_that_cannot_take_the_objects(
    columns: list[bigquery.SchemaField], partition: str | None, says: str, loaded: tuple[Cloud, str]
) -> None:
    cloud, uri = loaded
    table = bigquery.Table(f"{cloud.bigquery.project}.{cloud.dataset}.rides", columns)
    if partition:
        table.time_partitioning = bigquery.TimePartitioning("MONTH", field=partition)
    cloud.bigquery.create_table(table)
    message = refused(cloud, uri, table="rides", month=dt.date(2021, 1, 1))
    assert f"{cloud.dataset}.rides" in message
    assert says in message


def test_a_view_takes_no_rows(loaded: tuple[Cloud, str]) -> None:
    cloud, uri = loaded
    view = bigquery.Table(f"{cloud.bigquery.project}.{cloud.dataset}.v")
    view.view_query = f"SELECT * FROM `{cloud.dataset}.t`"
    cloud.bigquery.create_table(view)
    assert "is a VIEW. Load into another table." in refused(cloud, uri, table="v")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"table": "a.b"}, "'a.b' is no name of a table to load into"),
        ({"table": "t`; DROP TABLE x"}, "is no name of a table"),
        ({"table": "load_ledger"}, "'load_ledger' is no name of a table to load into"),
        ({"dataset": "a-b", "table": "t"}, "'a-b' is no name of a dataset"),
        ({"table": None}, "uri needs table"),
        ({"uri": None, "slice": "x"}, "slice goes with uri"),
        ({"uri": "https://x/y", "table": "t"}, "'https://x/y' is no address of objects: give gs://BUCKET/OBJECT"),
        ({"uri": None, "color": "pink"}, "There are no 'pink' taxi trips. Known colors: green, yellow."),
    ],
    ids=[
        "a table of another dataset",
        "a table name with a backtick",
        "the name of the ledger",
        "a dataset that cannot be",
        "no table",
        "slice without uri",
        "an address of the web",
        "no such colour",
    ],
)
def test_parameters_that_cannot_be(options: dict[str, Any], says: str, cloud: Cloud) -> None:
    uri = put_object(cloud, "raw/a.parquet", GOOD)
    state: Any = gcs_to_bigquery(**{"uri": uri, "dataset": cloud.dataset} | options, return_state=True)
    assert state.is_failed()
    assert says in noted(str(state.message))
    assert tables(cloud) == {}


def process(*words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """`python -m jobs.gcs_to_bigquery`, with these settings."""
    environment = {name: value for name, value in (os.environ | settings).items() if value}
    command = [sys.executable, "-m", "jobs.gcs_to_bigquery", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_no_credentials_at_all(loaded: tuple[Cloud, str]) -> None:
    cloud, uri = loaded
    # No metadata server answers, at once.
    nowhere = {"GOOGLE_APPLICATION_CREDENTIALS": "", "GCE_METADATA_HOST": "127.0.0.1:9", "HOME": "/nonexistent"}
    done = process("--uri", uri, "--table", "t", "--dataset", cloud.dataset, PREFECT_HOME="/tmp", **nowhere)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "There are no Google Cloud credentials. On Google Cloud, run as a service account" in said
    assert "Traceback" not in said


def test_the_command_line_tells_by_its_exit_code(cloud: Cloud) -> None:
    uri = put_object(cloud, "raw/a.parquet", GOOD)
    words = ("--table", "t", "--dataset", cloud.dataset)
    good = process("--uri", uri, *words)
    assert good.returncode == 0, good.stderr
    bad = process("--uri", f"{uri}x", *words)
    assert bad.returncode == 1
    assert "there is no such object" in bad.stdout + bad.stderr
    assert "Traceback" not in bad.stdout + bad.stderr
