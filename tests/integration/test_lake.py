"""Web to GCS: what arrives in the bucket, and that it is whole, or not there at all."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from jobs.web_to_gcs.flow import web_to_gcs
from longshore.errors import LoadError
from longshore.flows import blocks
from longshore.formats import parquet_parts
from longshore.report import Report
from longshore.schemas import declared_schema
from longshore.sinks.lake import upload
from longshore.sinks.lake.load import BucketObject
from longshore.sinks.load import Load
from longshore.sources.web import WebFile
from standins.google.proxy import Fault, Proxy, proxied
from standins.web import faults
from standins.web.server import Site
from tests.conftest import Cloud
from tests.integration.bad_input_table import noted
from tests.integration.loading import LOG, SOON, put

COLUMNS = {"n": "integer", "s": "text"}
SMALL = b"n,s\n1,a\n2,\n"
PATH = "raw/t.parquet"


def lines(count: int) -> bytes:
    """A csv file that does not shrink much: `count` rows of 40 bytes."""
    return b"n,s\n" + b"".join(b"%d,%s\n" % (n, os.urandom(16).hex().encode()) for n in range(count))


def copy_file(cloud: Cloud, url: str, columns: dict[str, str] | None = COLUMNS, **options: Any) -> Report:
    """Copy one file to PATH."""
    place = blocks.bucket("zoom-gcs")
    bucket = place.store.bucket(options.pop("bucket", place.name))
    schema = declared_schema(columns) if columns else None
    source = WebFile(url, options.pop("file_format", None))
    return Load(source, BucketObject(bucket, PATH), PATH, schema=schema, **options).run(LOG, SOON)


def table(cloud: Cloud, path: str = PATH) -> pa.Table:
    """The object's rows."""
    return pq.read_table(io.BytesIO(cloud.objects()[path]))


@pytest.fixture
def proxy(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What jobs take for Cloud Storage: the emulator behind a proxy that can break."""
    with proxied(os.environ["STORAGE_EMULATOR_HOST"]) as between:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", between.url)
        yield between


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks, and row groups, of a small file."""
    monkeypatch.setattr(upload, "CHUNK_BYTES", 256 << 10)
    monkeypatch.setattr(parquet_parts, "ROW_GROUP_ROWS", 10_000)


@pytest.mark.parametrize("color", ["yellow", "green"])
def test_all_trips_of_a_month_arrive_typed_and_none_is_filtered(
    color: str, cloud: Cloud, publish: Callable[..., Any], site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXI_URL", site.taxi_url)
    expected = publish(color, 2)
    state: Any = web_to_gcs(color=color, year=2021, months=[2], return_state=True)
    assert state.is_completed()
    rows = table(cloud, f"data/{color}/{color}_tripdata_2021-02.parquet")
    assert rows.num_rows == expected.rows
    assert rows["passenger_count"].to_pylist().count(0) == expected.zero_passengers > 0
    assert sum(round(100 * v) for v in rows["total_amount"].to_pylist()) == expected.total_cents
    assert rows["VendorID"].null_count == expected.blank_vendor > 0
    pickup = "tpep_pickup_datetime" if color == "yellow" else "lpep_pickup_datetime"
    assert rows.schema.field(pickup).type == pa.timestamp("us")
    again: Any = web_to_gcs(color=color, year=2021, months=[2], return_state=True)
    assert [report.status for report in again.result()] == ["unchanged"]


def test_the_object_says_what_it_was_made_of(cloud: Cloud, site: Site) -> None:
    url = put(site, "a.csv", SMALL)
    report = copy_file(cloud, url, flow_run="run-1")
    blob = cloud.bucket.get_blob(PATH)
    assert blob.content_type == "application/vnd.apache.parquet"
    assert {"source": url, "rows": "2", "flow_run": "run-1"}.items() <= blob.metadata.items()
    assert set(blob.metadata) == {"source", "etag", "schema", "rows", "flow_run"}
    assert (report.rows_read, report.rows_loaded, report.target) == (2, 2, f"gs://{cloud.bucket.name}/{PATH}")


def test_an_object_is_written_anew_when_source_or_settings_differ_or_it_is_said(cloud: Cloud, site: Site) -> None:
    def status(**options: Any) -> str:
        return copy_file(cloud, f"{site.url}/files/a.csv", **options).status

    put(site, "a.csv", SMALL)
    assert [status(), status(), status(force=True)] == ["loaded", "unchanged", "loaded"]
    put(site, "a.csv", SMALL + b"3,c\n")
    assert [status(), status()] == ["loaded", "unchanged"]
    assert table(cloud).num_rows == 3
    assert [status(columns={"n": "bigint", "s": "text"}), status()] == ["loaded", "loaded"]


def test_an_object_that_was_never_verified_is_written_anew(cloud: Cloud, site: Site) -> None:
    url = put(site, "a.csv", SMALL)
    copy_file(cloud, url)
    blob = cloud.bucket.get_blob(PATH)
    cloud.bucket.blob(PATH).upload_from_string(b"half")
    torn = cloud.bucket.blob(PATH)
    torn.metadata = {name: value for name, value in blob.metadata.items() if name != "rows"}
    torn.patch()
    assert copy_file(cloud, url).status == "loaded"


def test_the_same_rows_make_the_same_bytes(cloud: Cloud, site: Site) -> None:
    url = put(site, "a.csv", lines(5_000))
    copy_file(cloud, url)
    before = cloud.objects()
    copy_file(cloud, url, force=True)
    assert cloud.objects() == before


def test_columns_that_are_not_declared_are_inferred_and_widened(cloud: Cloud, site: Site) -> None:
    rows = b"".join(b"%d\n" % n for n in range(400_000))
    copy_file(cloud, put(site, "a.csv", b"n\n" + rows + b"1.5\n"), columns=None)
    assert table(cloud).schema.field("n").type == pa.float64()
    assert table(cloud).num_rows == 400_001


def test_a_column_without_any_value_is_text(cloud: Cloud, site: Site) -> None:
    copy_file(cloud, put(site, "a.csv", b"n,s\n1,\n"), columns=None)
    assert table(cloud).schema.field("s").type == pa.string()


def test_a_header_alone_makes_an_object_without_rows(cloud: Cloud, site: Site) -> None:
    assert copy_file(cloud, put(site, "a.csv", b"n,s\n")).rows_loaded == 0
    assert table(cloud).schema.names == ["n", "s"]


def test_row_groups_and_chunks_do_not_change_the_rows(cloud: Cloud, site: Site, small_chunks: None) -> None:
    copy_file(cloud, put(site, "a.csv", lines(100_000)))
    file = pq.ParquetFile(io.BytesIO(cloud.objects()[PATH]))
    assert file.num_row_groups > 1
    assert file.read()["n"].to_pylist() == list(range(100_000))


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", match="upload_id", times=2),
        Fault("status", match="upload_id", status=429),
        Fault("cut", match="upload_id", at=1_000),
        Fault("cut", match="upload_id", skip=1, at=100_000),
        Fault("keep", match="upload_id", at=100_000),
        Fault("keep", match="upload_id", skip=2, at=1),
        Fault("mute", match="upload_id"),
        Fault("mute", match="upload_id", skip=3),
        Fault("mute", match="upload_id", skip=4),
        Fault("status", "POST", "uploadType=resumable"),
        Fault("status", "GET", "t.parquet"),
        Fault("status", "PATCH", "t.parquet"),
    ],
    ids=lambda fault: f"{fault.kind} {fault.method} after {fault.skip}",
)
def test_an_upload_that_breaks_resumes(
    fault: Fault, cloud: Cloud, site: Site, proxy: Proxy, small_chunks: None
) -> None:
    proxy.faults.append(fault)
    copy_file(cloud, put(site, "a.csv", lines(100_000)))
    assert fault.times == 0
    assert table(cloud)["n"].to_pylist() == list(range(100_000))
    started = [path for method, path in proxy.seen if method == "POST" and fault.method != "POST"]
    assert len(started) <= 1


@pytest.fixture
def before(cloud: Cloud, site: Site) -> Iterator[str]:
    """An object is there; whatever a test does, it must stay as it is."""
    url = put(site, "a.csv", SMALL)
    copy_file(cloud, url)
    there = cloud.objects()
    yield url
    assert cloud.objects() == there


def refused(cloud: Cloud, url: str, **options: Any) -> LoadError:
    with pytest.raises(LoadError) as caught:
        copy_file(cloud, url, force=True, **options)
    noted(str(caught.value))
    return caught.value


FAILURES = {
    "another run is faster": (Fault("status", status=412), "another run wrote the object meanwhile", True),
    "the service forgets the upload": (Fault("status", status=410), "the service has forgotten the upload", True),
    "the service is down for good": (Fault("status", times=99), "gave up after 3 attempts: HTTP 503", True),
    "the connection breaks for good": (Fault("cut", times=99), "gave up after 3 attempts: Server disconn", True),
    "the upload is refused": (Fault("status", status=403, reason="forbidden"), "HTTP 403 Forbidden: forbidden", False),
    "no right to write": (Fault("status", "POST", status=403), "refused: .*Storage Object User", False),
    "an account that is not known": (Fault("status", "POST", status=401, times=9), "access is refused", False),
    "no right to look": (Fault("status", "GET", "t.parquet", status=403), "refused: .*Storage Object User", False),
    "no answer to the first question": (Fault("status", "GET", "t.parquet", times=99), "Is the service up", True),
}


@pytest.mark.parametrize("what", FAILURES)
def test_an_upload_that_fails_leaves_the_object_as_it_was(what: str, cloud: Cloud, proxy: Proxy, before: str) -> None:
    fault, says, retryable = FAILURES[what]
    proxy.faults.append(fault)
    error = refused(cloud, before)
    proxy.faults.clear()
    assert error.retryable is retryable
    with pytest.raises(LoadError, match=says):
        raise error


def test_an_upload_that_arrives_damaged_is_removed(cloud: Cloud, site: Site, proxy: Proxy) -> None:
    proxy.faults.append(Fault("flip"))
    error = refused(cloud, put(site, "a.csv", SMALL))
    assert error.retryable
    assert "crc32c" in str(error)
    assert cloud.objects() == {}


def test_a_missing_bucket_is_named(cloud: Cloud, site: Site) -> None:
    says = str(refused(cloud, put(site, "a.csv", SMALL), bucket="no-such-bucket"))
    assert "there is no bucket no-such-bucket" in says
    assert "gcloud storage buckets create gs://no-such-bucket" in says


def test_storage_that_is_gone_is_said(cloud: Cloud, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    assert refused(cloud, put(site, "a.csv", SMALL)).retryable


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"n,s\n1,a\nx,b\n", "row 2, column 'n': 'x' does not fit"),
        (b"n,t\n1,a\n", "it lacks s; it has t"),
        (b"n,s\n" + b"1,a\n" * 700_000 + b"x,b\n", "row 700,001, column 'n'"),
    ],
    ids=["empty file", "a value that does not fit", "other columns", "a late value that does not fit"],
)
def test_a_bad_file_leaves_the_object_as_it_was(data: bytes, says: str, before: str, cloud: Cloud, site: Site) -> None:
    assert says in str(refused(cloud, put(site, "a.csv", data)))


def test_a_source_that_dies_leaves_the_object_as_it_was(
    before: str, cloud: Cloud, site: Site, small_chunks: None
) -> None:
    put(site, "a.csv", lines(100_000))
    site.faults["/files/a.csv"] = [faults.Fault(cut_at=3_000_000, times=None)]
    assert "gave up" in str(refused(cloud, before))


@pytest.mark.parametrize("arguments", [{"url": "http://x/a.csv"}, {"path": "a"}, {"color": "red"}, {"months": [13]}])
def test_wrong_parameters_are_refused(arguments: dict[str, Any], cloud: Cloud) -> None:
    state: Any = web_to_gcs(**arguments, return_state=True)
    assert state.is_failed()


@pytest.mark.parametrize("path", ["/a", "a/", "a\\b", "../a"])
def test_a_path_that_is_no_object_name_is_refused(path: str, cloud: Cloud) -> None:
    state: Any = web_to_gcs(url="http://x/a.csv", path=path, return_state=True)
    assert "url needs path" in state.message


def test_without_credentials_the_run_says_how_to_get_them(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    state: Any = web_to_gcs(return_state=True)
    assert "There are no Google Cloud credentials." in noted(state.message)


def test_without_a_block_the_run_says_how_to_make_one(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GCS_BUCKET")
    state: Any = web_to_gcs(bucket="nowhere", return_state=True)
    assert "There is no block gcs-bucket/nowhere, and GCS_BUCKET is not set." in noted(state.message)


def test_two_runs_at_once_leave_one_whole_object(cloud: Cloud, site: Site, small_chunks: None) -> None:
    url = put(site, "a.csv", lines(100_000))

    def as_a_task_does(_: int) -> Report:
        try:
            return copy_file(cloud, url)
        except LoadError as error:
            if not error.retryable:
                raise
            return copy_file(cloud, url)

    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(as_a_task_does, range(2)))
    assert {report.rows_loaded for report in reports} <= {0, 100_000}
    assert table(cloud)["n"].to_pylist() == list(range(100_000))


@pytest.mark.parametrize("there", [False, True], ids=["new", "over an old one"])
def test_kill_9_in_mid_upload_leaves_the_object_as_it_was(there: bool, cloud: Cloud, site: Site, proxy: Proxy) -> None:
    if there:
        copy_file(cloud, put(site, "a.csv", SMALL))
    before = cloud.objects()
    url = put(site, "a.csv", lines(600_000))
    site.faults["/files/a.csv"] = [faults.Fault(bytes_per_second=12_000_000)]
    command = [sys.executable, "-m", "jobs.web_to_gcs", "--url", url, "--path", PATH]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while ("PUT", "upload") not in [(m, p.strip("/")[:6]) for m, p in proxy.seen]:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert cloud.objects() == before
    site.faults.clear()
    assert copy_file(cloud, url, columns=None).rows_loaded == 600_000
    assert table(cloud)["n"].to_pylist() == list(range(600_000))
