"""Loads into BigQuery where the emulator is of no help: quoting, job ids that are taken, transactions that collide."""

import logging
from dataclasses import dataclass, field
from datetime import date
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from google.api_core.exceptions import Conflict
from google.cloud.bigquery import DatasetReference
from hypothesis import given
from hypothesis import strategies as st

from longshore.backoff import Backoff
from longshore.errors import LoadError
from longshore.sinks.bigquery import ledger, sql
from longshore.sinks.bigquery.columns import bigquery_type, columns_of
from longshore.sinks.bigquery.footers import Footers
from longshore.sinks.bigquery.service import Service
from longshore.sinks.bigquery.staging import staged
from longshore.sources import objects

LOG = logging.getLogger("tests")
DATASET = DatasetReference("p", "d")
PLACE = sql.Slice(DATASET, "t", "s", "load_slice", "s")
ABORTED = {
    "reason": "invalidQuery",
    "message": "Query error: Transaction is aborted due to concurrent update against table p:d.load_lock. Transaction"
    " ID: 61e30eea at [2:1]",
}
BROKEN = {"reason": "backendError", "message": "Retry the job"}
NEW = ledger.Entry("load_staging_x_1", "print", "{}", 5, 5)
ROW = {"load_id": NEW.load_id, "fingerprint": "print", "settings": "{}", "rows_loaded": 5, "there": 5}


@given(st.text())
def test_a_quoted_text_ends_where_it_should_and_means_the_text(text: str) -> None:
    quoted = sql.literal(text)
    assert quoted[0] == quoted[-1] == "'"
    means, letters = "", iter(quoted[1:-1])
    for letter in letters:
        assert letter not in "'\n\r"  # would end the text, or may not be in it
        means += letter if letter != "\\" else {"n": "\n", "r": "\r"}.get(last := next(letters), last)
    assert means == text


def test_values_as_sql() -> None:
    values = (None, 7, -1.5, date(2021, 1, 1), "a'b")
    assert [sql.literal(value) for value in values] == ["NULL", "7", "-1.5", "DATE '2021-01-01'", r"'a\'b'"]


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (pa.int8(), "INT64"),
        (pa.uint64(), "INT64"),
        (pa.float32(), "FLOAT64"),
        (pa.float16(), None),
        (pa.bool_(), "BOOL"),
        (pa.large_string(), "STRING"),
        (pa.dictionary(pa.int8(), pa.string()), "STRING"),
        (pa.binary(4), "BYTES"),
        (pa.date64(), "DATE"),
        (pa.time32("ms"), "TIME"),
        (pa.time64("ns"), None),
        (pa.timestamp("us"), "DATETIME"),
        (pa.timestamp("ms", "Europe/Paris"), "TIMESTAMP"),
        (pa.timestamp("ns"), None),
        (pa.decimal128(38, 9), "NUMERIC"),
        (pa.decimal128(30, 0), "BIGNUMERIC"),
        (pa.decimal128(10, 10), "BIGNUMERIC"),
        (pa.decimal256(76, 38), "BIGNUMERIC"),
        (pa.decimal256(76, 0), None),
        (pa.decimal128(5, -2), None),
        (pa.list_(pa.int32()), None),
        (pa.null(), None),
        (pa.duration("us"), None),
    ],
    ids=str,
)
def test_the_type_that_keeps_every_value(kind: pa.DataType, wanted: str | None) -> None:
    assert bigquery_type(kind) == wanted


@pytest.mark.parametrize("name", ["a b", "1a", "ü", "", "a" * 301])
def test_names_that_bigquery_does_not_take(name: str) -> None:
    with pytest.raises(LoadError, match="BigQuery takes names of letters"):
        columns_of("x", pa.schema([pa.field(name, pa.int32())]))


@pytest.mark.parametrize(
    ("uri", "parts"),
    [("gs://b/a/c.parquet", ("b", "a/c.parquet")), ("gs://b/*", ("b", "*")), ("gs://b/a*c/d", ("b", "a*c/d"))],
)
def test_addresses(uri: str, parts: tuple[str, str]) -> None:
    assert objects.parts_of(uri) == parts


@pytest.mark.parametrize("uri", ["gs://b", "gs://b/", "s3://b/c", "gs://*/c", "gs://b/*/*", "b/c", ""])
def test_what_is_no_address(uri: str) -> None:
    with pytest.raises(LoadError, match="is no address of objects"):
        objects.parts_of(uri)


@dataclass
class Job:
    """A job that is done after so many looks."""

    error_result: dict[str, str] | None = None
    looks: int = 0
    created: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def state(self) -> str:
        return "RUNNING" if self.looks else "DONE"

    def reload(self, **_: Any) -> None:
        self.looks -= 1

    def result(self, **_: Any) -> list[dict[str, Any]]:
        return self.rows


@dataclass
class Client:
    """The service, which runs a job id once. next: what becomes of the jobs to come; begun: their ids; tables:
    when each was made.
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    next: list[Job] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    tables: dict[str, int] = field(default_factory=dict)
    clock: int = 0
    ledger: list[dict[str, Any]] = field(default_factory=list)

    def query(self, statements: str, job_id: str = "", **_: Any) -> Job:
        if not job_id:
            return Job(rows=self.ledger)
        if job_id in self.jobs:
            raise Conflict(f"Already Exists: Job p:US.{job_id}")
        self.begun.append(job_id)
        self.jobs[job_id] = self.next.pop(0) if self.next else Job()
        return self.jobs[job_id]

    def load_table_from_uri(self, uris: list[str], table: Any, job_id: str, **_: Any) -> Job:
        return self.query("", job_id)

    def get_job(self, job_id: str, **_: Any) -> Job:
        return self.jobs[job_id]

    def create_table(self, table: Any, **_: Any) -> Any:
        self.clock += 1
        return SimpleNamespace(created=self.tables.setdefault(table.table_id, self.clock))

    def delete_table(self, table: Any, **_: Any) -> None:
        self.tables.pop(table.table_id, None)


def service(client: Client) -> Service:
    return Service(client, Backoff(attempts=3, first=0.0), LOG)


def stage(client: Client) -> str:
    """The staging table that a load gets."""
    with staged(service(client), DATASET, "load", "x", ["gs://b/o"], Footers(5, {"n": "INT64"}, 0)) as table:
        assert table.table_id in client.tables
        return str(table.table_id)


def commit(client: Client) -> bool:
    before = ledger.Entry("before", "", "", 0, 0)
    return ledger.commit(service(client), PLACE, DATASET.table("staging"), ["n"], before, NEW, {})


FIRST, SECOND = "longshore-load_staging_x_1", "longshore-load_staging_x_2"


def test_a_load_job_whose_begin_was_not_heard_of_is_waited_for() -> None:
    client = Client({FIRST: Job(looks=2)}, tables={"load_staging_x_1": 0})
    assert stage(client) == "load_staging_x_1"
    assert client.begun == []
    assert client.tables == {}


def test_a_load_job_of_which_only_the_answer_was_lost_is_not_begun_twice() -> None:
    client = Client({FIRST: Job(created=7)})
    assert stage(client) == "load_staging_x_1"
    assert client.begun == []


def test_a_load_job_that_has_failed_before_is_begun_anew() -> None:
    client = Client({FIRST: Job(BROKEN)}, tables={"load_staging_x_1": 0})
    assert stage(client) == "load_staging_x_2"
    assert client.begun == [SECOND]
    assert client.tables == {}


def test_a_load_job_whose_rows_are_gone_is_begun_anew() -> None:
    client = Client({FIRST: Job(), SECOND: Job(BROKEN)})
    assert stage(client) == "load_staging_x_3"
    assert client.tables == {}


def test_a_load_job_that_fails_leaves_no_table() -> None:
    client = Client(next=[Job({"reason": "invalid", "message": "Error while reading data, error message: x"})])
    with pytest.raises(LoadError, match=r"load: Error while reading data, .* Write the object anew"):
        stage(client)
    assert client.tables == {}


@pytest.mark.parametrize(("result", "retryable"), [(BROKEN, True), ({"reason": "invalid", "message": "x"}, False)])
def test_only_what_may_pass_is_tried_again(result: dict[str, str], retryable: bool) -> None:
    with pytest.raises(LoadError) as caught:
        stage(Client(next=[Job(result)]))
    assert caught.value.retryable == retryable


def test_a_transaction_that_collides_is_tried_again() -> None:
    client = Client(next=[Job(ABORTED), Job(ABORTED, looks=1)])
    assert commit(client)
    assert client.begun == [f"longshore-{NEW.load_id}-{number}" for number in (1, 2, 3)]


def test_a_transaction_that_always_collides_is_given_up() -> None:
    with pytest.raises(LoadError, match="aborted due to concurrent update"):
        commit(Client(next=[Job(ABORTED)] * 99))


def test_after_a_collision_the_ledger_may_say_that_another_run_did_it() -> None:
    client = Client(next=[Job(ABORTED)], ledger=[ROW | {"load_id": "another"}])
    assert not commit(client)
    assert len(client.begun) == 1


def test_or_that_it_was_done_by_this_one() -> None:
    assert commit(Client(next=[Job({"message": sql.MOVED})], ledger=[ROW]))


def test_an_entry_that_was_there_before_tells_nothing() -> None:
    client = Client(next=[Job({"reason": "invalid", "message": sql.MISCOUNTED})], ledger=[ROW | {"load_id": "before"}])
    with pytest.raises(LoadError, match=sql.MISCOUNTED):
        commit(client)


def test_a_slice_that_another_run_loaded_from_other_objects_is_not_overwritten() -> None:
    client = Client(next=[Job({"message": f"Query error: {sql.MOVED} at [3:1]"})], ledger=[ROW | {"fingerprint": "?"}])
    with pytest.raises(LoadError, match="another run has loaded this slice meanwhile, from other objects") as caught:
        commit(client)
    assert caught.value.retryable


def test_a_transaction_that_was_run_before_and_undone_by_another_is_run_again() -> None:
    name = f"longshore-{NEW.load_id}"
    client = Client({f"{name}-1": Job()})
    assert commit(client)
    assert client.begun == [f"{name}-2"]


@pytest.mark.parametrize("table", [sql.LOCK, sql.LEDGER])
def test_ledgers_that_are_gone_are_made_anew(table: str) -> None:
    client = Client(next=[Job({"reason": "notFound", "message": f"Not found: Table p:d.{table} was not found"})])
    assert commit(client)
    assert [job_id.startswith("longshore-ledger") for job_id in client.begun] == [False, True, False]


def test_a_transaction_that_a_dead_process_ran_is_not_run_again() -> None:
    name = f"longshore-{NEW.load_id}"
    client = Client({f"{name}-1": Job(looks=1)}, ledger=[ROW])
    assert commit(client)
    assert client.begun == []
