"""GCS to BigQuery: what arrives in the table, and what a rerun does."""

import io
import random
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from google.cloud import bigquery
from prefect.testing.utilities import prefect_test_harness
from prefect_gcp import GcpCredentials, GcsBucket
from pyarrow import parquet as pq

from jobs.gcs_to_bigquery.flow import gcs_to_bigquery
from jobs.web_to_gcs.flow import web_to_gcs
from standins.web.server import Site
from tests.conftest import Cloud
from tests.integration.bigquery_loading import load_objects, numbers, put_object, tables

COUNTS = "SELECT table_name, slice, rows_loaded FROM load_ledger ORDER BY slice"


@pytest.fixture
def copied(
    cloud: Cloud, site: Site, publish: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Copy a generated month of trips into the bucket; what must be in it."""
    monkeypatch.setenv("TAXI_URL", site.taxi_url)

    def copy(color: str = "yellow", month: int = 1, **options: Any) -> Any:
        expected = publish(color, month, **options)
        state: Any = web_to_gcs(color=color, year=2021, months=[month], return_state=True)
        assert state.is_completed(), state.message
        return expected

    return copy


def ride(cloud: Cloud, **parameters: Any) -> Any:
    """Run the flow into the test's dataset; its final state."""
    return gcs_to_bigquery(**{"year": 2021, "months": [1], "dataset": cloud.dataset} | parameters, return_state=True)


def test_a_month_arrives_whole_and_a_rerun_changes_nothing(cloud: Cloud, copied: Callable[..., Any]) -> None:
    expected = copied()
    state = ride(cloud)
    assert state.is_completed(), state.message
    (report,) = state.result()
    assert (report.status, report.rows_read, report.rows_loaded) == ("loaded", expected.rows, expected.rows)
    assert cloud.rows("SELECT COUNT(*), COUNT(DISTINCT month), MIN(month) FROM rides")[0][0] == expected.rows
    assert [str(day) for (day,) in cloud.rows("SELECT DISTINCT month FROM rides")] == ["2021-01-01"]
    before = tables(cloud)
    assert sorted(before) == ["load_ledger", "load_lock", "rides"]
    (again,) = ride(cloud).result()
    assert again.status == "unchanged"
    assert tables(cloud) == before
    (forced,) = ride(cloud, force=True).result()
    assert forced.status == "loaded"
    assert tables(cloud)["rides"] == before["rides"]


def test_the_values_are_those_of_the_object(cloud: Cloud, copied: Callable[..., Any]) -> None:
    copied()
    ride(cloud)
    (data,) = cloud.objects().values()
    table = pq.read_table(io.BytesIO(data))
    columns = ", ".join(f"`{name}`" for name in table.column_names)
    wanted = [tuple(row.values()) for row in table.to_pylist()]
    assert sorted(cloud.rows(f"SELECT {columns} FROM rides"), key=repr) == sorted(wanted, key=repr)


def test_the_table_is_partitioned_by_month_and_sorted_by_pickup(cloud: Cloud, copied: Callable[..., Any]) -> None:
    copied("green")
    assert ride(cloud, color="green", location="europe-west6").is_completed()
    table = cloud.bigquery.get_table(f"{cloud.dataset}.green_rides")
    assert (table.time_partitioning.type_, table.time_partitioning.field) == ("MONTH", "month")
    assert table.clustering_fields == ["lpep_pickup_datetime"]
    kinds = {field.name: field.field_type for field in table.schema}
    assert kinds["lpep_pickup_datetime"] == "DATETIME"
    assert kinds["month"] == "DATE"
    assert cloud.bigquery.get_dataset(cloud.dataset).location == "europe-west6"


def test_a_month_that_fails_does_not_keep_the_next_from_being_loaded(cloud: Cloud, copied: Callable[..., Any]) -> None:
    expected = copied(month=2)
    state = ride(cloud, months=[1, 2])
    assert state.is_failed()
    assert "there is no such object. Copy it there first: python -m jobs.web_to_gcs --color yellow" in state.message
    assert "--year 2021 --months 1," in state.message
    assert cloud.rows(COUNTS) == [("rides", "yellow 2021-02", expected.rows)]


def test_a_new_object_takes_the_place_of_its_rows_and_of_no_others(cloud: Cloud, copied: Callable[..., Any]) -> None:
    first, second = copied(rows=500), copied(month=2)
    assert ride(cloud, months=[1, 2]).is_completed()
    february = cloud.rows("SELECT * FROM rides WHERE month = DATE '2021-02-01'")
    third = copied(rows=800)
    assert (first.rows, second.rows) != (third.rows, second.rows)
    reports = ride(cloud, months=[1, 2]).result()
    assert [report.status for report in reports] == ["loaded", "unchanged"]
    assert cloud.rows(COUNTS) == [("rides", "yellow 2021-01", third.rows), ("rides", "yellow 2021-02", second.rows)]
    assert cloud.rows("SELECT COUNT(*) FROM rides") == [(third.rows + second.rows,)]
    now = cloud.rows("SELECT * FROM rides WHERE month = DATE '2021-02-01'")
    assert sorted(now, key=repr) == sorted(february, key=repr)


@pytest.fixture
def blocks(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Prefect's blocks, under their default names, instead of the environment."""
    with prefect_test_harness():
        bucket, project = cloud.bucket.name, cloud.bigquery.project
        monkeypatch.delenv("GCS_BUCKET")
        monkeypatch.delenv("GCP_PROJECT")
        credentials = GcpCredentials(project=project)
        credentials.save("zoom-gcp-creds")
        GcsBucket(bucket=bucket, gcp_credentials=credentials, bucket_folder="lake/").save("zoom-gcs")
        yield


def test_the_blocks_say_where_to(blocks: None, cloud: Cloud, copied: Callable[..., Any]) -> None:
    expected = copied()
    assert list(cloud.objects()) == ["lake/data/yellow/yellow_tripdata_2021-01.parquet"]
    assert ride(cloud, table="trips").is_completed()
    assert cloud.rows(COUNTS) == [("trips", "yellow 2021-01", expected.rows)]


def test_objects_of_a_pattern_are_one_slice(cloud: Cloud) -> None:
    for part in range(3):
        put_object(cloud, f"n/{part}.parquet", numbers(10, 10 * part))
    put_object(cloud, "n/notes.txt", b"no Parquet")
    uri = f"gs://{cloud.bucket.name}/n/*.parquet"
    state: Any = gcs_to_bigquery(uri=uri, table="t", dataset=cloud.dataset, slice="all", return_state=True)
    assert state.is_completed(), state.message
    assert cloud.rows("SELECT COUNT(*), COUNT(DISTINCT n), SUM(n) FROM t WHERE load_slice = 'all'") == [(30, 30, 435)]
    assert cloud.bigquery.get_table(f"{cloud.dataset}.t").clustering_fields == ["load_slice"]
    cloud.bucket.blob("n/2.parquet").delete()
    assert load_objects(cloud, uri, slice="all").rows_loaded == 20
    assert load_objects(cloud, uri, slice="all").status == "unchanged"
    assert cloud.rows("SELECT COUNT(*), SUM(n) FROM t") == [(20, 190)]


def test_one_object_is_loaded_and_not_those_that_begin_with_its_name(cloud: Cloud) -> None:
    uri = put_object(cloud, "n", numbers(5))
    put_object(cloud, "n2", numbers(7))
    assert load_objects(cloud, uri).rows_loaded == 5


def test_columns_come_by_name_whatever_their_order(cloud: Cloud) -> None:
    """The emulator takes a Parquet column by its place, the service by its name."""
    first = put_object(cloud, "1.parquet", pa.table({"a": ["a1"], "b": ["b1"], "order": [1]}))
    second = put_object(cloud, "2.parquet", pa.table({"order": [2], "b": ["b2"], "a": ["a2"]}))
    load_objects(cloud, first)
    load_objects(cloud, second)
    assert cloud.rows("SELECT a, b, `order` FROM t ORDER BY `order`") == [("a1", "b1", 1), ("a2", "b2", 2)]


def test_an_object_without_rows_is_a_slice_without_rows(cloud: Cloud) -> None:
    uri = put_object(cloud, "n.parquet", numbers(3))
    load_objects(cloud, uri)
    put_object(cloud, "n.parquet", numbers(0))
    assert load_objects(cloud, uri).rows_loaded == 0
    assert cloud.rows("SELECT COUNT(*) FROM t") == [(0,)]
    assert load_objects(cloud, uri).status == "unchanged"


@pytest.mark.parametrize(
    "loss", ["DELETE FROM t WHERE n = 7", "DROP TABLE t", "INSERT INTO t SELECT * FROM t WHERE n = 7"]
)
def test_rows_that_somebody_lost_or_added_are_put_right(loss: str, cloud: Cloud) -> None:
    uri = put_object(cloud, "n.parquet", numbers(10))
    load_objects(cloud, uri)
    before = cloud.contents("t")
    cloud.rows(loss)
    assert load_objects(cloud, uri).status == "loaded"
    assert cloud.contents("t") == before
    assert cloud.rows("SELECT COUNT(*) FROM load_ledger") == [(1,)]


@pytest.mark.parametrize("table", ["load_ledger", "load_lock"])
def test_ledgers_that_somebody_deleted_are_made_anew(table: str, cloud: Cloud) -> None:
    uri = put_object(cloud, "n.parquet", numbers(10))
    load_objects(cloud, uri)
    before = cloud.contents("t")
    cloud.rows(f"DROP TABLE {table}")
    assert load_objects(cloud, uri, force=True).status == "loaded"
    assert cloud.contents("t") == before
    assert cloud.rows("SELECT COUNT(*), (SELECT COUNT(*) FROM load_lock) FROM load_ledger") == [(1, 1)]


def test_columns_that_somebody_added_to_the_table_are_left_alone(cloud: Cloud, copied: Callable[..., Any]) -> None:
    expected = copied()
    ride(cloud)
    cloud.rows("ALTER TABLE rides ADD COLUMN remark STRING")
    assert ride(cloud, force=True).is_completed()
    assert cloud.rows("SELECT COUNT(*), COUNT(remark) FROM rides") == [(expected.rows, 0)]


def test_names_with_quotes_are_only_names(cloud: Cloud) -> None:
    name = 'it\'s \\ "odd"; DROP TABLE t; -- `x`\nü'
    uri = put_object(cloud, "it is.parquet", numbers(4))
    for _ in range(2):
        load_objects(cloud, uri, slice=name, flow_run="'", force=True)
    assert cloud.rows("SELECT load_slice, COUNT(*) FROM t GROUP BY 1") == [(name, 4)]
    assert cloud.rows("SELECT slice, source, flow_run FROM load_ledger") == [(name, uri, "'")]


def test_only_footers_come_through_the_container(cloud: Cloud) -> None:
    table = pa.table({"s": [random.randbytes(100) for _ in range(20_000)]})
    uri = put_object(cloud, "large.parquet", table)
    report = load_objects(cloud, uri)
    assert report.rows_loaded == 20_000
    assert report.bytes <= 64 << 10 < cloud.bucket.get_blob("large.parquet").size


def test_a_footer_that_is_larger_than_the_first_look(cloud: Cloud) -> None:
    table = pa.table({f"column_{i}": [i] for i in range(1000)})
    assert load_objects(cloud, put_object(cloud, "wide.parquet", table)).rows_loaded == 1


def test_the_dataset_is_made_where_the_bucket_is(cloud: Cloud) -> None:
    load_objects(cloud, put_object(cloud, "n.parquet", numbers(1)))
    assert cloud.bigquery.get_dataset(cloud.dataset).location == cloud.bucket.client.get_bucket(cloud.bucket).location


def test_loads_into_a_dataset_that_is_there_keep_to_its_location(cloud: Cloud) -> None:
    there = bigquery.Dataset(f"{cloud.bigquery.project}.{cloud.dataset}")
    there.location = "europe-west6"
    cloud.bigquery.create_dataset(there)
    uri = put_object(cloud, "n.parquet", numbers(1))
    assert load_objects(cloud, uri).status == "loaded"
    assert load_objects(cloud, uri, location="EUROPE-west6").status == "unchanged"
