"""The stack's two database servers: who gets in, and how an older version's records come into their own."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from scripts.databases import check_passwords, have_reader, inside, sql
from scripts.docker import docker_says, image_exists
from scripts.move_records import OLD, PART, counts, move_records, restore, to_be_moved
from scripts.settings import ROOT, UserError, settings

IMAGE = next((one for one in (settings()["POSTGRES_IMAGE"], "longshore/postgres:bookworm-15") if image_exists(one)), "")
WAREHOUSE = {
    "WAREHOUSE_DB": "warehouse",
    "WAREHOUSE_USER": "warehouse",
    "WAREHOUSE_PASSWORD": "of-the-warehouse",
    "WAREHOUSE_READER_USER": "warehouse_reader",
    "WAREHOUSE_READER_PASSWORD": "of-the-reader",
}
RECORDS = {"PREFECT_DB": "prefect", "PREFECT_DB_PASSWORD": "of-prefect"}
# As Prefect makes them: an extension of its own, a key of JSON, a row that refers to another.
OURS = """
CREATE EXTENSION pg_trgm;
CREATE TABLE deployment (id uuid PRIMARY KEY, name text);
CREATE TABLE flow_run (id int PRIMARY KEY, deployment_id uuid REFERENCES deployment, parameters jsonb);
CREATE INDEX flow_run_name ON deployment USING gin (name gin_trgm_ops);
CREATE TABLE block_document (id int, data jsonb);
INSERT INTO deployment VALUES ('4f6b1b6e-8b57-4b09-a4b4-4b2b0b4b1f11', 'monthly');
INSERT INTO flow_run SELECT n, (SELECT id FROM deployment), '{"months": [1]}' FROM generate_series(1, 5000) n;
INSERT INTO block_document SELECT n, '"gAAAA"' FROM generate_series(1, 12) n;
"""
pytestmark = pytest.mark.skipif(not IMAGE, reason="no Postgres image here: make base")


@contextmanager
def server(**env: str) -> Iterator[str]:
    """A database server as docker-compose.yml runs one; the container's id."""
    given = [
        part for name, value in {"POSTGRES_PASSWORD": "of-root", **env}.items() for part in ("-e", f"{name}={value}")
    ]
    folder = f"{ROOT}/docker/postgres/initdb.d:/docker-entrypoint-initdb.d:ro"
    made = docker_says("run", "--detach", "--name", f"longshore-test-{uuid4()}", *given, "--volume", folder, IMAGE)
    try:
        deadline = time.monotonic() + 120
        while subprocess.run(["docker", "exec", made, "pg_isready", "-q", "-h", "127.0.0.1"]).returncode:
            assert time.monotonic() < deadline, docker_says("logs", made, both=True)
            time.sleep(0.3)
        yield made
    finally:
        docker_says("rm", "--force", "--volumes", made)


@pytest.fixture
def old() -> Iterator[str]:
    """The server of an older version: both databases, no reader, some trips and Prefect's records."""
    with server(**WAREHOUSE, **RECORDS) as made:
        sql(made, "DROP OWNED BY warehouse_reader; DROP ROLE warehouse_reader", "warehouse")
        sql(made, "SET ROLE prefect;" + OURS, "prefect")
        sql(made, "SET ROLE warehouse; CREATE TABLE trips AS SELECT 1 AS id", "warehouse")
        yield made


@pytest.fixture
def new() -> Iterator[str]:
    """The server of Prefect's records, empty."""
    with server(**RECORDS) as made:
        yield made


def as_reader(container: str, query: str, **env: str) -> str:
    """What the reader gets, by its password."""
    psql = 'psql -XqAt -h "$HOSTNAME" -U warehouse_reader -d warehouse -c "$0"'
    given = {"PGPASSWORD": WAREHOUSE["WAREHOUSE_READER_PASSWORD"], **env}
    return inside(container, "sh", "-c", psql, query, env=given)


def test_a_server_has_only_the_database_that_it_was_given_a_password_for() -> None:
    with server(**WAREHOUSE) as warehouse, server(**RECORDS) as records:
        assert not to_be_moved(warehouse)
        names = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate"
        assert sql(warehouse, names) == "postgres warehouse"
        assert sql(records, names) == "postgres prefect"
        assert sql(records, "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'warehouse%'") == "0"
        check_passwords({**WAREHOUSE, **RECORDS}, warehouse, records)


def test_the_reader_reads_what_is_there_and_what_comes_and_writes_nothing() -> None:
    with server(**WAREHOUSE) as warehouse:
        sql(warehouse, "SET ROLE warehouse; CREATE TABLE before AS SELECT 1 AS id", "warehouse")
        sql(warehouse, "SET ROLE warehouse; CREATE SCHEMA own; CREATE TABLE own.late AS SELECT 3 AS id", "warehouse")
        for _ in range(2):
            have_reader(warehouse)
        sql(warehouse, "SET ROLE warehouse; CREATE TABLE after AS SELECT 2 AS id", "warehouse")
        assert (
            as_reader(
                warehouse, "SELECT id FROM before UNION ALL SELECT id FROM after UNION ALL SELECT id FROM own.late"
            )
            == "1\n2\n3"
        )
        for write in ("DELETE FROM before", "CREATE TABLE mine (id int)", "DROP TABLE before", "CREATE SCHEMA mine"):
            with pytest.raises(UserError, match="read-only transaction"):
                as_reader(warehouse, write)
            with pytest.raises(UserError, match=r"permission denied|must be owner"):
                as_reader(warehouse, write, PGOPTIONS="-c default_transaction_read_only=off")
        with pytest.raises(UserError, match="permission denied"):
            as_reader(warehouse, "SELECT pg_read_file('/etc/passwd')")


def test_a_password_that_is_not_the_volumes_is_named_with_the_volumes(old: str, new: str) -> None:
    env = {**WAREHOUSE, **RECORDS, "COMPOSE_PROJECT_NAME": "mine"}
    check_passwords(env, old, new)
    for name in ("WAREHOUSE_PASSWORD", "PREFECT_DB_PASSWORD"):
        with pytest.raises(
            UserError, match=rf"(?s){name} does not open database .*mine_postgres, mine_prefect-db.*make clean"
        ) as told:
            check_passwords({**env, name: "s3cret-wrong"}, old, new)
        assert "s3cret-wrong" not in str(told.value)


def test_an_older_versions_records_move_and_the_old_ones_stay(old: str, new: str) -> None:
    assert to_be_moved(old)
    before = counts(old, ("flow_run", "deployment", "block_document"))
    assert before == [5000, 1, 12]
    move_records(old, new)
    assert not to_be_moved(old)
    assert counts(old, ("flow_run",), OLD) == [5000]
    assert counts(new, ("flow_run", "deployment", "block_document")) == before
    # Prefect's own role owns them, and may go on changing them.
    check_passwords({**WAREHOUSE, **RECORDS}, old, new)
    sql(new, "SET ROLE prefect; ALTER TABLE flow_run ADD COLUMN more text; DROP INDEX flow_run_name", "prefect")
    assert sql(new, "SELECT has_database_privilege('public', 'prefect', 'CONNECT')") == "f"
    have_reader(old)
    assert as_reader(old, "SELECT id FROM trips") == "1"
    with pytest.raises(UserError, match="permission denied"):
        inside(
            old,
            "sh",
            "-c",
            f'psql -h "$HOSTNAME" -U warehouse -d {OLD} -c "SELECT 1"',
            env={"PGPASSWORD": WAREHOUSE["WAREHOUSE_PASSWORD"]},
        )


def test_a_move_that_was_killed_is_made_again_from_the_start(old: str, new: str) -> None:
    # Killed in the midst of the copy.
    sql(new, f"CREATE DATABASE {PART} OWNER prefect")
    sql(new, "CREATE TABLE flow_run (id int); INSERT INTO flow_run VALUES (1)", PART)
    assert to_be_moved(old)
    # Killed when the empty database had gone, and the copy had not yet its name.
    sql(new, "DROP DATABASE prefect")
    restore(old, new)
    # Killed before the old one had its new name.
    assert to_be_moved(old)
    sql(new, "DELETE FROM flow_run WHERE id = 1", "prefect")  # Prefect has been at work since
    move_records(old, new)
    assert counts(new, ("flow_run", "deployment", "block_document")) == [4999, 1, 12]
    assert not to_be_moved(old)


def test_records_on_both_sides_are_left_to_a_person(old: str, new: str) -> None:
    sql(new, "SET ROLE prefect;" + OURS, "prefect")
    with pytest.raises(UserError, match=r"both .*To keep the old: drop database prefect"):
        move_records(old, new)
    assert counts(new, ("flow_run",)) == counts(old, ("flow_run",)) == [5000]


def test_a_copy_that_breaks_moves_nothing(old: str, new: str) -> None:
    # The new server lacks what the old one has: here the extension's files.
    subprocess.run(
        ["docker", "exec", "-u", "0", new, "find", "/usr/share/postgresql", "-name", "pg_trgm*", "-delete"], check=True
    )
    with pytest.raises(UserError, match="not moved"):
        move_records(old, new)
    assert to_be_moved(old)
    assert counts(old, ("flow_run",)) == [5000]
