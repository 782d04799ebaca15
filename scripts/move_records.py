"""Moves Prefect's records out of the warehouse's server, where older versions kept them, into a server of their own.

The old database is renamed last of all: killed at any moment before, the next `make up` does it again from the start.
"""

import subprocess
from collections.abc import Iterable

from scripts.databases import sql
from scripts.settings import UserError

NAME, PART, OLD = "prefect", "prefect_part", "prefect_moved"
MOVED = "moved here from the server of the warehouse"
COUNTED = ("block_document", "deployment", "flow_run")


def to_be_moved(warehouse: str) -> bool:
    """Whether the warehouse's server has records of Prefect's that are in use."""
    return NAME in databases(warehouse)


def move_records(warehouse: str, records: str) -> None:
    """Move them, both servers being up and nobody else at work on them. UserError: both have some, or it failed."""
    note = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = :'name'"
    if sql(records, note, name=NAME) != MOVED:
        if any(counts(records, COUNTED[1:])):
            raise UserError(
                "both the old database server (postgres) and its own (prefect-db) have records of Prefect's. To keep "
                f"the old: drop database {NAME} in prefect-db. To keep the new: rename {NAME} in postgres to {OLD}."
            )
        restore(warehouse, records)
    # A password of old that somebody may know opens it no longer.
    sql(warehouse, 'ALTER DATABASE :"name" RENAME TO :"old"; ALTER ROLE :"name" NOLOGIN', name=NAME, old=OLD)


def restore(warehouse: str, records: str) -> None:
    """Copy the database under a name of its own, compare, and put it in the place of the empty one."""
    sql(
        records,
        'DROP DATABASE IF EXISTS :"part" WITH (FORCE); CREATE DATABASE :"part" OWNER :"name"',
        part=PART,
        name=NAME,
    )
    sql(records, 'REVOKE ALL ON DATABASE :"part" FROM PUBLIC', part=PART)
    dump = ["docker", "exec", warehouse, "pg_dump", "-U", "postgres", "-Fc", NAME]
    load = [
        "pg_restore",
        "-U",
        "postgres",
        "--no-owner",
        "--no-acl",
        f"--role={NAME}",
        "--single-transaction",
        "-d",
        PART,
    ]
    with subprocess.Popen(dump, stdout=subprocess.PIPE) as reading:
        loaded = subprocess.run(["docker", "exec", "-i", records, *load], stdin=reading.stdout)
    before, after = counts(warehouse, COUNTED), counts(records, COUNTED, PART)
    if reading.returncode or loaded.returncode or before != after:
        raise UserError(f"Prefect's records were not moved (see above): {before} rows of {COUNTED} there, {after} here")
    sql(records, f"COMMENT ON DATABASE :\"part\" IS '{MOVED}'", part=PART)
    sql(
        records,
        'DROP DATABASE IF EXISTS :"name" WITH (FORCE); ALTER DATABASE :"part" RENAME TO :"name"',
        part=PART,
        name=NAME,
    )


def counts(container: str, tables: Iterable[str], database: str = NAME) -> list[int]:
    """Rows of each table; 0 for one that is not there, nor its database."""
    if database not in databases(container):
        return [0 for _ in tables]
    there = set(sql(container, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database).split())
    return [int(sql(container, f"SELECT count(*) FROM {one}", database)) if one in there else 0 for one in tables]


def databases(container: str) -> list[str]:
    """Names of a server's databases."""
    return sql(container, "SELECT datname FROM pg_database").split("\n")
