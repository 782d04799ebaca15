"""The pages, served as they are, in a real Chromium that cannot reach anything else."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from scripts.settings import ROOT
from standins.google.servers import free_port
from tests.browser.page import Page

SECONDS = 180
Open = Callable[..., Page]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="session")
def serve(folder: Path) -> Iterator[Callable[..., str]]:
    """The address of the pages with these settings and no others. Each settings' server is started once."""
    running: dict[frozenset[tuple[str, str]], str] = {}
    with ExitStack() as stack:

        def start(**settings: str) -> str:
            key = frozenset(settings.items())
            if key not in running:
                running[key] = stack.enter_context(serving(folder, settings))
            return running[key]

        yield start


@contextmanager
def serving(home: Path, settings: dict[str, str]) -> Iterator[str]:
    """A server of the pages, as it is started by hand."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "dashboards/late_buses/page.py", "--server.port", str(port)]
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "MAP_TILES": "", "MAP_REFRESH_SECONDS": "0"} | settings
    with (
        (home / f"streamlit-{port}.log").open("wb") as log,
        subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log) as process,
    ):
        try:
            address = f"http://127.0.0.1:{port}"
            _answers(f"{address}/_stcore/health", process)
            yield address
        finally:
            process.terminate()


@pytest.fixture
def csv(folder: Path) -> Path:
    """Where the pages look for late_buses.csv; nothing is there yet."""
    path = folder / "late_buses.csv"
    path.unlink(missing_ok=True)
    return path


@pytest.fixture
def page(chromium: Chrome, serve: Callable[..., str], csv: Path) -> Iterator[Open]:
    """Open a page in the browser, by default of a server that keeps no answer."""

    def open_page(path: str = "", **settings: str) -> Page:
        address = serve(**{"LATE_BUSES": str(csv)} | settings)
        chromium.get_log("performance")  # type: ignore[no-untyped-call] # what is asked from here on
        chromium.get(address + path)
        return Page(chromium)

    yield open_page
    chromium.get("about:blank")


def _answers(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(address, timeout=SECONDS):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"streamlit did not start, it ended with {process.poll()}")
