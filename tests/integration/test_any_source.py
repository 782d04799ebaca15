"""Any source goes into any sink: a member of a zip, objects of a bucket, rows that a job made."""

import io
import zipfile
from typing import Any

import pyarrow as pa
import pytest

from longshore.errors import LoadError
from longshore.flows import blocks
from longshore.sinks.bigquery.load import BigQueryTable
from longshore.sinks.lake.load import BucketObject
from longshore.sinks.load import Load
from longshore.sinks.postgres.load import PostgresTable
from longshore.sources.objects import Objects
from longshore.sources.rows import Rows
from longshore.sources.zip import ZipMember
from standins.web.server import Site
from tests.conftest import Cloud, Database
from tests.integration.loading import LOG, SOON, parquet, put

ROWS = pa.table({"n": pa.array([1, 2, 3], pa.int64()), "s": ["a", "b", None]})
IN_ORDER = [(1, "a"), (2, "b"), (3, None)]


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def in_postgres(database: Database, source: Any, **options: Any) -> str:
    """Load the source into table t; how that ended."""
    return Load(source, PostgresTable(database.engine, "t"), "s", **options).run(LOG, SOON).status


def kept(database: Database) -> list[tuple[Any, ...]]:
    return database.rows("SELECT n, s FROM t ORDER BY n")


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("data/rows.csv", b"n,s\n1,a\n2,b\n3,\n"),
        ("rows.jsonl", b'{"n": 1, "s": "a"}\n{"n": 2, "s": "b"}\n{"n": 3, "s": null}\n'),
        ("rows.parquet", parquet(ROWS)),
    ],
)
def test_a_member_of_a_zip_into_postgres(database: Database, site: Site, member: str, content: bytes) -> None:
    url = put(site, "a.zip", zipped({member: content, "readme.txt": b"x"}))
    assert in_postgres(database, ZipMember(url, member)) == "loaded"
    assert kept(database) == IN_ORDER
    assert in_postgres(database, ZipMember(url, member)) == "unchanged"
    put(site, "a.zip", zipped({member: content}))
    assert in_postgres(database, ZipMember(url, member)) == "loaded"
    assert kept(database) == IN_ORDER


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (zipped({"b.csv": b"n,s\n1,a\n"}), "has no a.csv; it holds b.csv"),
        (zipped({"a.csv": b"n,s\n" + b"0,\n" * 9_000_000}), "is refused as a zip bomb"),
        (zipped({"a.csv": b"n,s\n1,a\n"})[:60], "is a zip that is cut off or damaged"),
        (zipped({"a.csv": b"n,s\n1,a\n", "../b.csv": b""}), "a name that leads out of the zip"),
        (b"<html></html>", "is a web page (HTML), not a zip"),
    ],
    ids=["not there", "bomb", "truncated", "traversal", "html"],
)
def test_a_zip_that_is_wrong_loads_nothing(database: Database, site: Site, data: bytes, says: str) -> None:
    url = put(site, "a.zip", data)
    with pytest.raises(LoadError) as caught:
        in_postgres(database, ZipMember(url, "a.csv"))
    assert says in str(caught.value)
    assert database.value("SELECT to_regclass('t')") is None


def test_objects_of_a_bucket_into_postgres(database: Database, cloud: Cloud) -> None:
    for name, rows in {"o/1.parquet": ROWS.slice(0, 2), "o/2.parquet": ROWS.slice(2)}.items():
        cloud.bucket.blob(name).upload_from_string(parquet(rows))
    source = Objects(f"gs://{cloud.bucket.name}/o/*.parquet", blocks.bucket("").store)
    assert in_postgres(database, source) == "loaded"
    assert kept(database) == IN_ORDER
    assert in_postgres(database, source) == "unchanged"
    cloud.bucket.blob("o/3.parquet").upload_from_string(parquet(ROWS.slice(0, 1)))
    assert in_postgres(database, source) == "loaded"
    assert kept(database) == sorted([*IN_ORDER, IN_ORDER[0]])


def test_objects_of_text_too(database: Database, cloud: Cloud) -> None:
    cloud.bucket.blob("rows.csv").upload_from_string(b"n,s\n1,a\n2,b\n3,\n")
    assert in_postgres(database, Objects(f"gs://{cloud.bucket.name}/rows.csv", blocks.bucket("").store)) == "loaded"
    assert kept(database) == IN_ORDER


def test_rows_in_memory_into_postgres_and_a_bucket(database: Database, cloud: Cloud) -> None:
    assert in_postgres(database, Rows(ROWS, "three rows", "1")) == "loaded"
    assert in_postgres(database, Rows(ROWS, "three rows", "1")) == "unchanged"
    assert in_postgres(database, Rows(ROWS, "three rows")) == "loaded"  # nothing tells whether they are the same
    assert kept(database) == IN_ORDER
    sink = BucketObject(cloud.bucket, "rows.parquet")
    statuses = [Load(Rows(ROWS, "three rows", "1"), sink, "s").run(LOG, SOON).status for _ in range(2)]
    assert statuses == ["loaded", "unchanged"]
    assert pa.parquet.read_table(io.BytesIO(cloud.objects()["rows.parquet"])).to_pylist() == ROWS.to_pylist()


def test_bigquery_says_that_it_takes_objects(cloud: Cloud) -> None:
    sink = BigQueryTable(blocks.bigquery_client(""), cloud.dataset, "t")
    with pytest.raises(LoadError, match="BigQuery takes whole objects of a bucket"):
        Load(Rows(ROWS, "three rows"), sink, "s").run(LOG, SOON)
