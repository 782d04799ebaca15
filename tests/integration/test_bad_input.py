"""Bad input: a message that says what and where, table and ledger as before, and a failed run."""

import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.web_to_postgres.flow import web_to_postgres
from longshore.errors import LoadError
from longshore.flows.blocks import engine
from standins.web.faults import HTML
from standins.web.server import Fault, Site
from tests.conftest import Database
from tests.integration.bad_input_table import noted
from tests.integration.loading import SOON, load_file, put

COLUMNS = {"n": "integer", "s": "text"}
GOOD = b"n,s\n" + b"".join(b"%d,%s\n" % (i, os.urandom(8).hex().encode()) for i in range(20_000))
PACKED = gzip.compress(GOOD)
LONG = b"n,s\n" + b"".join(b"%d,x\n" % i for i in range(700_000))  # several blocks, so that COPY has begun


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.csv"), io.BytesIO(b""))
    return file.getvalue()


# what -> the file's bytes, and what the message says of it
FILES: dict[str, tuple[bytes, str]] = {
    "web page": (HTML, "is a web page (HTML), not data"),
    "empty file": (b"", "is empty (0 bytes)"),
    "gzip of nothing": (gzip.compress(b""), "unpacked, is empty (0 bytes)"),
    "truncated gzip": (PACKED[:-100], "truncated gzip: the data end in mid-stream"),
    "damaged gzip": (PACKED[:5000] + b"\0\xff" * 50 + PACKED[5100:], "damaged gzip near byte"),
    "wrong checksum": (PACKED[:-8] + b"\0\1\2\3" + PACKED[-4:], "damaged gzip near byte"),
    "gzip, then garbage": (PACKED + b"garbage" * 9, "damaged gzip near byte"),
    "gzip of a tar": (tar(), "is a tar archive"),
    "gzip of a picture": (gzip.compress(b"\x89PNG\r\n\x1a\n"), "unpacked, is a PNG picture, not csv or json"),
    "zip": (b"PK\x03\x04zip", "is a zip archive, not csv or json"),
    "other columns": (b"n,x\n1,a\n", "has other columns than declared: it lacks s; it has x, which nobody expects"),
    "a column twice": (b"n,s,n\n1,a,1\n", "has the column 'n' twice"),
    "no header": (b"\n\n", "has no header with a name for every column"),
    "value": (b"n,s\n1,a\nx,b\n", "row 2, column 'n': 'x' does not fit the type integer"),
    "value, late": (LONG + b"1.5,b\n", "row 700,001, column 'n': 1.5 does not fit the type integer"),
    "too large": (b"n,s\n1,a\n3000000000,b\n", "row 2, column 'n': 3000000000 does not fit the type integer"),
    "value in a row of other width": (b"n,s\n1,a\n2,b\nx,b,\n", "row 3, column 'n': 'x' does not fit"),
    "value behind a row of other width": (
        b"n,s\n1,a\n2,b,\nx,b\n",
        "row 3, column 'n': 'x' does not fit",
    ),
    "NUL": (LONG + b"1,a\0b\n", "row 700,001, column 's': a NUL character"),
    "bad UTF-8": (LONG + b"1,a\xffb\n", r"row 700,001, column 's': b'a\xffb' is not valid UTF-8"),
    "bad UTF-8 in the header": (b"n,\xff\n1,a\n", "header: not valid UTF-8"),
    "too few fields": (b"n,s\n1,a\n2\n", "row 2: 1 fields where the header has 2"),
    "too many fields": (b"n,s\n1,a\n2,b,c\n", "row 2: 3 fields where the header has 2"),
    "an open quote": (
        b'n,s\n1,a\n2,"b\n3,c\n',
        """never closed, in the row that begins with '2,"b""",
    ),
}


@pytest.fixture
def loaded(database: Database, site: Site) -> Iterator[tuple[Database, str]]:
    """A table with one slice; whatever a test does to its source must leave both table and ledger as they are."""
    url = put(site, "a.csv", GOOD)
    load_file(database, url, columns=COLUMNS)
    before = database.contents("t"), database.contents("load_ledger")
    yield database, url
    assert (database.contents("t"), database.contents("load_ledger")) == before


def refused(database: Database, url: str, **options: Any) -> str:
    with pytest.raises(LoadError) as caught:
        load_file(database, url, **{"columns": COLUMNS} | options)
    return noted(str(caught.value))


@pytest.mark.parametrize("what", FILES)
def test_a_bad_file_is_refused(what: str, loaded: tuple[Database, str], site: Site) -> None:
    database, url = loaded
    data, says = FILES[what]
    put(site, "a.csv", data)
    message = refused(database, url)
    assert url in message
    assert says in message


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.jsonl", b'{"n": 1}\n{"n": "x"}\n', "row 2, column 'n': 'x' does not fit the type integer"),
        ("a.jsonl", b'{"n": 1}\n{"n": 1', "row 2: not JSON"),
        ("a.jsonl", b'{"n": 1}\n7\n', "row 2: b'7' is no object"),
        ("a.jsonl", b'{"n": 1}\n{"m": 1}\n', "row 2: unexpected field 'm'"),
        ("a.jsonl", b'{"s": "a\xff"}\n', "row 1: not valid UTF-8"),
        ("a.jsonl", b'{"s": "a"}\n{"s": "a\\u0000"}\n', "row 2, column 's': a NUL character"),
        ("a.jsonl", b'{"s": "\\ud800"}\n', "row 1, column 's'"),
        ("a.json", b'[{"n": 1}, {"n": 2}', "behind row 2: not a JSON array of objects"),
        ("a.parquet", b"PAR1 nonsense PAR1", "is not Parquet, or damaged"),
        ("a.bin", b"n,s\n", "which format is it? Say one of: csv, json, jsonl, parquet"),
    ],
    ids=[
        "a value in JSON",
        "JSON cut off",
        "JSON that is no object",
        "JSON with another field",
        "JSON in bad UTF-8",
        "JSON with a NUL",
        "JSON with half a character",
        "a JSON array cut off",
        "nonsense as Parquet",
        "no format known",
    ],
)
def test_a_bad_json_or_parquet_file_is_refused(
    name: str, data: bytes, says: str, loaded: tuple[Database, str], site: Site
) -> None:
    message = refused(loaded[0], put(site, name, data))
    assert name in message
    assert says in message


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (404, "answered HTTP 404 Not Found: there is no such file"),
        (403, "answered HTTP 403 Forbidden: access is refused"),
        (500, "gave up after 3 attempts: HTTP 500 Internal Server Error"),
    ],
    ids=["404", "403", "500 for good"],
)
def test_a_refusing_website_is_named(status: int, says: str, loaded: tuple[Database, str], site: Site) -> None:
    database, url = loaded
    site.faults["/files/a.csv"] = [Fault(times=None, status=status)]
    assert says in refused(database, f"{url}?key=secret123", slice=url)
    assert "secret123" not in refused(database, f"{url}?key=secret123", slice=url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/a.csv", "ftp://x/a.csv", "a.csv", "https://", "http://no-such-host.invalid/a.csv"]
)
def test_an_address_that_leads_nowhere_is_named(url: str, loaded: tuple[Database, str]) -> None:
    assert url in refused(loaded[0], url)


def test_a_redirect_to_what_is_no_website_is_named(loaded: tuple[Database, str], site: Site) -> None:
    database, url = loaded
    for where in ("ftp://x/a.csv", url):
        site.faults["/files/a.csv"] = [Fault(times=None, status=302, headers={"Location": where})]
        assert "is no usable address" in refused(database, url)


def test_a_connection_that_dies_for_good_in_the_middle(loaded: tuple[Database, str], site: Site) -> None:
    database, url = loaded
    put(site, "a.csv", LONG)
    site.faults["/files/a.csv"] = [Fault(times=None, cut_at=3_000_000)]
    assert "gave up at byte 3,000,000 after 3 attempts: " in refused(database, url)


def test_a_chunked_answer_that_ends_early(loaded: tuple[Database, str], site: Site) -> None:
    database, url = loaded
    put(site, "a.csv", LONG)
    site.faults["/files/a.csv"] = [Fault(times=None, cut_at=3_000_000, chunked=True, ignore_range=True)]
    assert "after 3 attempts" in refused(database, url)


@pytest.mark.parametrize(
    "fault",
    [{}, {"ignore_if_range": True}, {"etag": ""}, {"etag": 'W/"same"'}],
    ids=[
        "the file changes between two requests",
        "it changes, and If-Range is ignored",
        "it changes, no ETag",
        "it changes, weak ETag",
    ],
)
def test_a_file_that_changes_while_it_is_read(fault: dict[str, Any], loaded: tuple[Database, str], site: Site) -> None:
    database, url = loaded
    put(site, "a.csv", LONG)

    before = len(site.requests)

    class Changing(list[Fault]):
        """Puts the new file there when the second request has come."""

        def __getitem__(self, index: Any) -> Any:
            if len(site.requests) == before + 2:
                put(site, "a.csv", LONG.replace(b"x", b"y"))
            return super().__getitem__(index)

    site.faults["/files/a.csv"] = Changing([Fault(cut_after=3_000_000, **fault), Fault(times=None, **fault)])
    message = refused(database, url)
    assert "changed while it was being read" in message


def test_a_parquet_file_that_changes_between_two_ranges(loaded: tuple[Database, str], site: Site) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def write(start: int) -> str:
        file = io.BytesIO()
        values = [os.urandom(64) for _ in range(100_000)]
        pq.write_table(pa.table({"s": values}), file, compression="none", use_dictionary=False)
        return put(site, "a.parquet", file.getvalue())

    url = write(0)

    class Changing(list[Fault]):
        def __getitem__(self, index: Any) -> Any:
            if len(site.asked("/files/a.parquet")) == 3:
                write(1)
            return super().__getitem__(index)

    site.faults["/files/a.parquet"] = Changing([Fault(times=None)])
    message = refused(loaded[0], url, columns=None, table="other")
    assert "changed while it was being read" in message


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("(n date, s text, slice_id integer)", "Table t2, column 'n' is date; the file's values are integer"),
        ("(n integer, s uuid, slice_id integer)", "Table t2, column 's' is uuid; the file's values are text"),
        ("(n integer, slice_id integer)", "Table t2 lacks the column 's' (text)"),
        ("(n integer, s text)", "Table t2 lacks the column slice_id that tells the slices apart"),
        ("(n integer, s varchar(2), slice_id integer)", "value too long for type character varying(2) (row 1"),
        ("(n integer, s text, slice_id integer, k integer NOT NULL)", 'null value in column "k"'),
        ("(n integer CHECK (n < 9), s text, slice_id integer)", 'violates check constraint "t2_n_check"'),
    ],
    ids=[
        "incompatible column",
        "incompatible text column",
        "a column missing in the table",
        "a table without slice_id",
        "a text too long for the table",
        "a column that must not be null",
        "a check of the table",
    ],
)
def test_a_table_that_cannot_take_the_file(table: str, says: str, loaded: tuple[Database, str]) -> None:
    database, url = loaded
    database.run(f"CREATE TABLE t2 {table}")
    assert says in refused(database, url, table="t2")
    assert database.contents("t2") == []


def test_a_month_in_the_future_is_no_request(taxi: Database, site: Site) -> None:
    state: Any = web_to_postgres(year=2999, months=[1], return_state=True)
    assert state.is_failed()
    assert "2999-01 is in the future: there is no file yet" in noted(str(state.message))
    assert site.requests == []


def test_postgres_unreachable(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql://me:hushhush@127.0.0.1:9/rides")
    database = Database("", engine("none"))
    message = refused(database, put(site, "a.csv", GOOD))
    assert message.startswith("Postgres 127.0.0.1:9/rides cannot be reached or went away: ")
    assert "hushhush" not in message


@pytest.mark.parametrize("url", ["hushhush", "postgresql://me:x@h:hush/d"])
def test_a_malformed_database_address_is_not_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", url)
    with pytest.raises(LoadError, match="WAREHOUSE_URL is no database URL") as caught:
        engine("none")
    assert "hush" not in noted(str(caught.value))


@pytest.fixture
def guarded(postgres: Any, database: Database) -> Iterator[str]:
    """The URL of a role that needs its password, with a wrong one."""
    rules = Path(postgres.pgdata) / "pg_hba.conf"
    kept = rules.read_text()
    database.run("CREATE ROLE guarded LOGIN PASSWORD 'the right one'")
    rules.write_text("local all guarded scram-sha-256\n" + kept)
    database.rows("SELECT pg_reload_conf()")
    yield database.url.replace("postgres:@", "guarded:hushhush@", 1)
    rules.write_text(kept)
    database.rows("SELECT pg_reload_conf()")
    database.run("DROP ROLE guarded")


def test_a_wrong_password_is_never_shown(guarded: str, site: Site, publish: Callable[..., Any]) -> None:
    publish(rows=100)
    environment = {**os.environ, "WAREHOUSE_URL": guarded, "TAXI_URL": site.taxi_url, "PREFECT_LOGGING_LEVEL": "DEBUG"}
    command = [sys.executable, "-m", "jobs.web_to_postgres", "--year", "2021", "--months", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    lines = [line for line in said.splitlines() if "wrong user or password" in line]
    line = lines[0][lines[0].index("Postgres ") : lines[0].index("_URL.") + 5]
    assert "wrong user or password for 'guarded'. Correct the block or WAREHOUSE_URL." in noted(line)
    assert "hushhush" not in done.stdout + done.stderr


def test_a_full_disk(loaded: tuple[Database, str], postgres: Any) -> None:
    database, url = loaded
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts a small file system for a tablespace")
    folder = tempfile.mkdtemp(prefix="ls-full-")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False).returncode != 0:
        pytest.skip("may not mount a small file system for a tablespace")
    try:
        owner = Path(postgres.pgdata).stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"CREATE TABLESPACE small LOCATION '{folder}'")
        database.run("CREATE TABLE t2 (n integer, s text, slice_id integer) TABLESPACE small")
        message = refused(database, url, table="t2")
        assert "No space left on device" in message
        assert "The disk is full: make room, then run it again; nothing was loaded." in message
        assert database.contents("t2") == []
        database.run("DROP TABLE t2")
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        Path(folder).rmdir()


def test_the_command_line_tells_by_its_exit_code(taxi: Database, site: Site, publish: Callable[..., Any]) -> None:
    expected = publish(rows=500)
    command = [sys.executable, "-m", "jobs.web_to_postgres", "--year", "2021", "--months"]
    good = subprocess.run([*command, "1"], capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stderr
    assert f"yellow 2021-01: {expected.rows:,} rows read" in good.stdout + good.stderr
    bad = subprocess.run([*command, "2"], capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "answered HTTP 404 Not Found: there is no such file" in bad.stdout + bad.stderr
    assert "Traceback" not in bad.stdout + bad.stderr


def test_backoff_reads_its_setting_when_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRY_DELAY_SECONDS", "7")
    assert type(SOON)().delay(2) == 14
