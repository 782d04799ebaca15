"""Blocks that were encrypted with a key in their own database are moved over to the setting's key."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_gcp import GcpCredentials, GcsBucket

from control.encryption import WrongKey, move_blocks
from scripts.gcp_key import local_key
from scripts.settings import ROOT
from standins.google.servers import free_port, wait_for
from tests.conftest import Database
from tests.integration.guarded_server import ENCRYPTION_KEY, guarded_server, secret, settings
from tests.integration.prefect_server import process

KEPT = "SELECT value ->> 'fernet_key' FROM configuration WHERE key = 'ENCRYPTION_KEY'"
CONTENTS = "SELECT data FROM block_document ORDER BY id"


@contextmanager
def prefects_own(home: Path, url: str) -> Iterator[None]:
    """Prefect's server as it comes, which keeps a key in its database."""
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    env = {"PREFECT_API_DATABASE_CONNECTION_URL": url, "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    with process(home, "server", "server", "start", "--port", str(port), **env) as started:
        wait_for(f"{api}/health", started)
        with temporary_settings({PREFECT_API_URL: api}):
            yield


def save_blocks() -> None:
    """A secret, one block in another, and one without a name."""
    secret("bus key").save("plain")
    GcpCredentials(service_account_info=local_key("http://127.0.0.1:1/token", "p"), project="p").save("inner")
    GcsBucket(bucket="b", gcp_credentials=GcpCredentials.load("inner")).save("outer")
    asyncio.run(secret("nameless")._save(is_anonymous=True))


def check_blocks() -> None:
    """They are what was saved."""
    plain: Any = Secret.load("plain")
    outer: Any = GcsBucket.load("outer")
    assert plain.get() == "bus key"
    assert "PRIVATE KEY" in outer.gcp_credentials.service_account_info.get_secret_value()["private_key"]


def readable(contents: list[str], key: str) -> list[Any]:
    """Each content, decrypted with a key. Raises InvalidToken where it is another's."""
    return [Fernet(key).decrypt(one) for one in contents]


def start_with(home: Path, url: str, key: str) -> str:
    """What our server says that ends at once."""
    env = settings(free_port(), PREFECT_HOME=str(home), PREFECT_API_DATABASE_CONNECTION_URL=url)
    env["PREFECT_SERVER_ENCRYPTION_KEY"] = key
    command = [sys.executable, "-m", "control.server", "--port", "1"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    return done.stderr


def column(engine: sa.Engine, sql: str) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(sa.text(sql)).scalars())


def contents(engine: sa.Engine) -> list[str]:
    """What is stored of each block."""
    return [one.strip('"') for one in column(engine, CONTENTS)]


def test_a_stack_that_exists_is_moved_over_without_losing_a_block(tmp_path: Path) -> None:
    url, engine = f"sqlite+aiosqlite:///{tmp_path}/records.db", sa.create_engine(f"sqlite:///{tmp_path}/records.db")
    with prefects_own(tmp_path, url):
        save_blocks()
    (old,) = column(engine, KEPT)
    before = readable(contents(engine), old)
    assert len(before) == 4
    for _ in range(2):  # the second start finds nothing to move
        with guarded_server(tmp_path, PREFECT_API_DATABASE_CONNECTION_URL=url) as server:
            check_blocks()
        assert column(engine, KEPT) == []
        assert readable(contents(engine), ENCRYPTION_KEY) == before
    assert server.log.read_text().count("4 blocks are encrypted with PREFECT_SERVER_ENCRYPTION_KEY now.") == 1
    said = start_with(tmp_path, url, Fernet.generate_key().decode())
    assert "PREFECT_SERVER_ENCRYPTION_KEY does not decrypt the block" in said
    assert "Traceback" not in said
    assert readable(contents(engine), ENCRYPTION_KEY) == before


@pytest.fixture
def postgres_records(database: Database) -> Database:
    """The two tables as Prefect's migrations make them in Postgres; of the embedded one, Prefect lacks an extension."""
    key = Fernet.generate_key().decode()
    database.run("CREATE TABLE configuration (key varchar PRIMARY KEY, value jsonb NOT NULL)")
    database.run("CREATE TABLE block_document (id uuid PRIMARY KEY, name varchar NOT NULL, data jsonb NOT NULL)")
    with database.engine.begin() as connection:
        kept = (
            "INSERT INTO configuration VALUES ('ENCRYPTION_KEY', jsonb_build_object('fernet_key', cast(:key AS text)))"
        )
        connection.execute(sa.text(kept), {"key": key})
        for number in range(4):
            data = Fernet(key).encrypt(f'{{"value": {number}}}'.encode()).decode()
            block = "INSERT INTO block_document VALUES (gen_random_uuid(), :name, to_jsonb(cast(:data AS text)))"
            connection.execute(sa.text(block), {"name": f"block-{number}", "data": data})
    return database


def test_killed_amid_the_move_it_loses_nothing(postgres_records: Database) -> None:
    database = postgres_records
    url = database.url.replace("postgresql://", "postgresql+asyncpg://")
    (old,) = column(database.engine, KEPT)
    stored = contents(database.engine)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    program = "import asyncio, sys; from control.encryption import move_blocks; asyncio.run(move_blocks(*sys.argv[1:]))"
    with database.engine.begin() as holder:  # of the last block, so that the move waits when it has written the others
        holder.execute(sa.text("SELECT 1 FROM block_document WHERE name = 'block-3' FOR UPDATE"))
        command = [sys.executable, "-c", program, url, ENCRYPTION_KEY]
        with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as moving:
            until(lambda: database.value(waiting))
            moving.send_signal(signal.SIGKILL)
    until(lambda: not database.value(waiting))
    assert column(database.engine, KEPT) == [old]
    assert contents(database.engine) == stored
    assert asyncio.run(move_blocks(url, ENCRYPTION_KEY)) == 4
    assert column(database.engine, KEPT) == []
    assert readable(contents(database.engine), ENCRYPTION_KEY) == readable(stored, old)
    with pytest.raises(WrongKey, match="block-"):
        asyncio.run(move_blocks(url, Fernet.generate_key().decode()))


def test_a_new_database_has_nothing_to_move(tmp_path: Path) -> None:
    assert asyncio.run(move_blocks(f"sqlite+aiosqlite:///{tmp_path / 'new.db'}", ENCRYPTION_KEY)) == 0


def until(met: Callable[[], Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.1)
