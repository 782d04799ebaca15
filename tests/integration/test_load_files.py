"""Any file into any table: what goes in is what comes out."""

import json
import os
from typing import Any

import pyarrow as pa
import pytest

from longshore.errors import LoadError
from standins.web.server import Fault, Site
from tests.conftest import Database
from tests.integration.loading import load_file, parquet, put


def test_types_of_a_csv_are_inferred(database: Database, site: Site) -> None:
    data = (
        b"n,x,day,at,zone,yes,zip,note\n1,.20,2021-01-02,2021-01-02 03:04:05,2021-01-02T03:04:05+02:00,true,01234,a\n"
    )
    load_file(database, put(site, "a.csv", data))
    sql = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 't'"
    assert dict(database.rows(sql)) == {
        "n": "bigint",
        "x": "double precision",
        "day": "date",
        "at": "timestamp without time zone",
        "zone": "timestamp with time zone",
        "yes": "boolean",
        "zip": "text",
        "note": "text",
        "slice_id": "integer",
    }
    assert database.rows("SELECT n, x, zip, zone AT TIME ZONE 'UTC' = '2021-01-02 01:04:05' FROM t") == [
        (1, 0.2, "01234", True)
    ]


def test_a_column_that_turns_out_wider_loads_the_file_anew(database: Database, site: Site) -> None:
    lines = [b"%d,%d\n" % (i, i) for i in range(400_000)]
    data = b"a,b\n" + b"".join(lines) + b"x,1.5\n"
    report = load_file(database, put(site, "a.csv", data))
    assert report.rows_loaded == 400_001
    assert database.rows("SELECT count(*), max(a), max(b), min(b) FROM t") == [(400_001, "x", 399_999.0, 0.0)]


def test_many_small_batches_all_arrive(database: Database, site: Site) -> None:
    table = pa.table({"n": pa.array(range(3_000))})
    report = load_file(database, put(site, "a.parquet", parquet(table, row_group_size=1)))
    assert report.rows_loaded == 3_000
    assert database.rows("SELECT count(*), sum(n) FROM t") == [(3_000, sum(range(3_000)))]


@pytest.mark.parametrize("ranges", [True, False], ids=["by Range", "without Range"])
def test_parquet_is_read(ranges: bool, database: Database, site: Site) -> None:
    table = pa.table({"n": pa.array(range(100_000)), "s": pa.array([str(i) * 5 for i in range(100_000)])})
    url = put(site, "a.parquet", parquet(table, row_group_size=10_000))
    if not ranges:
        site.faults["/files/a.parquet"] = [Fault(times=None, ignore_range=True)]
    load_file(database, url)
    assert database.rows("SELECT n, s FROM t ORDER BY n") == list(zip(*table.to_pydict().values(), strict=True))
    assert any(r.status == 206 for r in site.asked("/files/a.parquet")) == ranges


def test_nested_json_becomes_jsonb(database: Database, site: Site) -> None:
    rows = [{"id": 1, "tags": ["a", {"b": "ü"}]}, {"id": 2, "tags": None}, {"id": 3, "tags": 5}, {"id": 4}]
    load_file(database, put(site, "a.json", json.dumps(rows).encode()))
    assert database.rows("SELECT id, tags FROM t ORDER BY id") == [(1, ["a", {"b": "ü"}]), (2, None), (3, 5), (4, None)]


def test_a_field_that_appears_late_becomes_a_column(database: Database, site: Site) -> None:
    lines = [b'{"id": %d}\n' % i for i in range(300_000)] + [b'{"id": -1, "late": "x"}\n']
    load_file(database, put(site, "a.jsonl", b"".join(lines)))
    assert database.rows("SELECT id, late FROM t WHERE late IS NOT NULL") == [(-1, "x")]
    assert database.value("SELECT count(*) FROM t") == 300_001


def test_a_file_with_a_header_only_loads_0_rows_and_blocks_nothing(database: Database, site: Site) -> None:
    report = load_file(database, put(site, "a.csv", b"n,s\n"))
    assert (report.status, report.rows_read, report.rows_loaded) == ("loaded", 0, 0)
    assert "0 rows read, 0 loaded" in str(report)
    load_file(database, put(site, "a.csv", b"n,s\n1,x\n"))
    assert database.rows("SELECT n, s FROM t") == [(1, "x")]


def test_a_declared_file_with_a_header_only_empties_its_slice(database: Database, site: Site) -> None:
    load_file(database, put(site, "a.csv", b"n\n1\n"), columns={"n": "integer"})
    report = load_file(database, put(site, "a.csv", b"n\n"), columns={"n": "integer"})
    assert report.rows_loaded == 0
    assert database.value("SELECT count(*) FROM t") == 0
    assert database.value("SELECT rows_loaded FROM load_ledger") == 0


def test_a_source_without_validators_is_loaded_each_time(database: Database, site: Site) -> None:
    site.faults["/bare.csv"] = [Fault(times=None, body=b"n\n1\n")]
    url = f"{site.url}/bare.csv"
    assert [load_file(database, url).status for _ in range(2)] == ["loaded", "loaded"]
    assert database.value("SELECT count(*) FROM t") == 1


@pytest.mark.parametrize("tag", ['W/"x"', ""], ids=["weak tag", "date only"])
def test_a_weak_tag_or_a_date_tells_that_nothing_changed(tag: str, database: Database, site: Site) -> None:
    url = put(site, "a.csv", b"n\n1\n")
    site.faults["/files/a.csv"] = [Fault(times=None, etag=tag)]
    assert [load_file(database, url).status for _ in range(2)] == ["loaded", "unchanged"]


ODD = ["per%cent", 'quo"te', "with space", "Capital", "select", "%s", ":colon", "ü" * 31 + "x"]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_of_tables_and_columns_work(name: str, database: Database, site: Site) -> None:
    data = json.dumps({name: 1, "other :x %(y)s": 2}).encode()
    url = put(site, "a.jsonl", data)
    load_file(database, url, table=name)
    assert load_file(database, url, table=name).status == "unchanged"
    load_file(database, url, table=name, force=True)
    quoted = name.replace('"', '""').replace(":", "\\:")
    assert database.rows(f'SELECT "{quoted}" FROM "{quoted}"') == [(1,)]


def test_a_table_in_another_schema(database: Database, site: Site) -> None:
    database.run("CREATE SCHEMA taxi")
    load_file(database, put(site, "a.csv", b"n\n1\n"), table="taxi.rides")
    assert database.rows("SELECT n FROM taxi.rides") == [(1,)]


def test_one_table_by_two_names_is_one_table(database: Database, site: Site) -> None:
    url = put(site, "a.csv", b"n\n1\n")
    load_file(database, url, table="t")
    assert load_file(database, url, table="public.t").status == "unchanged"


@pytest.mark.parametrize("name", ["", "a.b.c", "x" * 64, "ü" * 32, ".t", "t."])
def test_a_name_that_is_no_table_is_refused(name: str, database: Database, site: Site) -> None:
    with pytest.raises(LoadError, match=r"is no table name: give NAME or SCHEMA.NAME, at most 63 bytes"):
        load_file(database, put(site, "a.csv", b"n\n1\n"), table=name)


def test_a_column_name_that_postgres_would_cut_short_is_refused(database: Database, site: Site) -> None:
    with pytest.raises(LoadError, match="Postgres takes names of 1 to 63 bytes"):
        load_file(database, put(site, "a.csv", b"x" * 64 + b"\n1\n"))
    assert database.rows("SELECT to_regclass('t')") == [(None,)]


@pytest.mark.parametrize(
    ("sql", "value"),
    [("smallint", 7), ("integer", 7), ("numeric", 7), ("numeric(9,2)", 7), ("double precision", 7.0), ("real", 7.0)],
)
def test_a_table_made_by_hand_takes_values_that_fit_its_types(
    sql: str, value: Any, database: Database, site: Site
) -> None:
    database.run(f"CREATE TABLE t (slice_id integer, extra text, n {sql})")
    load_file(database, put(site, "a.csv", b"n\n7\n"))
    assert database.rows("SELECT extra, n FROM t") == [(None, value)]


def test_a_value_too_large_for_the_table_made_by_hand_is_named(database: Database, site: Site) -> None:
    database.run("CREATE TABLE t (n smallint, slice_id integer)")
    with pytest.raises(LoadError, match=r"a.csv, row 2, column 'n': '40000' does not fit the type smallint"):
        load_file(database, put(site, "a.csv", b"n\n7\n40000\n"))
    assert database.contents("t") == []


def test_a_text_column_of_a_table_made_by_hand_keeps_the_file_s_spelling(database: Database, site: Site) -> None:
    database.run("CREATE TABLE t (n text, v varchar(10), slice_id integer)")
    load_file(database, put(site, "a.csv", b"n,v\n1.50,2021-01-01\n"))
    assert database.rows("SELECT n, v FROM t") == [("1.50", "2021-01-01")]


def test_the_rows_of_each_slice_are_as_many_as_the_ledger_says(database: Database, site: Site) -> None:
    load_file(database, put(site, "a.csv", b"n\n1\n2\n"))
    load_file(database, put(site, "b.csv", b"n\n3\n"))
    counts = "(SELECT count(*) FROM t WHERE t.slice_id = load_ledger.slice_id)"
    assert database.rows(f"SELECT rows_loaded, {counts} FROM load_ledger ORDER BY source") == [(2, 2), (1, 1)]


def test_a_broken_download_goes_on_where_it_broke(database: Database, site: Site) -> None:
    lines = b"n,r\n" + b"".join(b"%d,%s\n" % (i, os.urandom(20).hex().encode()) for i in range(50_000))
    url = put(site, "a.csv", lines)
    site.faults["/files/a.csv"] = [Fault(cut_after=700_001), Fault(cut_after=300_001, reset=False)]
    report = load_file(database, url)
    assert report.rows_loaded == 50_000
    assert report.bytes == len(lines)
    first, second, third = site.asked("/files/a.csv")
    assert first.range is None
    assert (second.range, third.range) == ("bytes=700001-", "bytes=1000002-")
    assert second.if_range == third.if_range
    assert second.if_range is not None
    assert (second.status, third.status) == (206, 206)


def test_a_server_that_ignores_ranges_is_read_from_the_start_without_doubling_rows(
    database: Database, site: Site
) -> None:
    url = put(site, "a.csv", b"n\n" + b"".join(b"%d\n" % i for i in range(50_000)))
    site.faults["/files/a.csv"] = [Fault(cut_after=100_000), Fault(ignore_range=True)]
    load_file(database, url)
    assert database.rows("SELECT count(*), count(DISTINCT n) FROM t") == [(50_000, 50_000)]


def test_two_addresses_that_differ_in_their_query_are_two_slices(taxi: Database, site: Site) -> None:
    from jobs.web_to_postgres.flow import web_to_postgres

    put(site, "a.csv", b"n\n1\n")
    for query in ("part=1", "part=2"):
        state: Any = web_to_postgres(url=f"{site.url}/files/a.csv?{query}", table="t", return_state=True)
        assert state.is_completed()
    assert taxi.value("SELECT count(*) FROM t") == 2
    assert not [name for (name,) in taxi.rows("SELECT slice FROM load_ledger") if "part=1" in name]


def test_a_named_slice_is_one_whatever_its_address(taxi: Database, site: Site) -> None:
    from jobs.web_to_postgres.flow import web_to_postgres

    (site.root / "a.csv").write_text("n\n1\n")
    for query in ("signature=1", "signature=2"):
        url = f"{site.url}/files/a.csv?{query}"
        state: Any = web_to_postgres(url=url, table="t", slice="a", return_state=True)
        assert state.is_completed()
    assert taxi.rows("SELECT slice FROM load_ledger") == [("a",)]
    assert taxi.rows("SELECT n FROM t") == [(1,)]


@pytest.mark.parametrize("meanwhile", ["SELECT 1", "VACUUM FULL t", "DELETE FROM t WHERE n = 5", "VACUUM t"])
def test_a_reload_replaces_its_rows_wherever_they_are(meanwhile: str, database: Database, site: Site) -> None:
    first = put(site, "first.csv", b"n\n" + b"".join(b"%d\n" % n for n in range(3_000)))
    second = put(site, "second.csv", b"n\n" + b"".join(b"%d\n" % n for n in range(3_000, 9_000)))
    load_file(database, first, slice="first")
    load_file(database, second, slice="second")
    database.run("DELETE FROM t WHERE n < 1000")  # so that VACUUM FULL moves what is left
    database.run(meanwhile)
    for _ in range(2):
        for name, url in (("second", second), ("first", first)):
            load_file(database, url, slice=name, force=True)
    assert database.rows("SELECT count(*), count(DISTINCT n), sum(n) FROM t") == [(9_000, 9_000, sum(range(9_000)))]
