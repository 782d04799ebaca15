"""Runs whose Prefect server is away: a real server that is killed and started again, real engines as processes."""

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import Flow
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import TaskRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from jobs.web_to_postgres.flow import web_to_postgres
from longshore.flows.engine import OVERDUE, SERVER_AWAY
from scripts.docker import docker, docker_says, image_exists
from scripts.settings import ROOT
from standins.google.servers import Process, free_port, stop, wait_for
from standins.web.server import Fault, Site
from tests.conftest import Database
from tests.integration import away_flows
from tests.integration.prefect_server import api, children

MONTH = {"months": [1], "keep_zero_passengers": True}
FILE = "/objects/yellow/yellow_tripdata_2021-01.csv.gz"


class Server:
    """A Prefect server that can be killed and started again, with the same port and database."""

    def __init__(self, home: Path, **env: str) -> None:
        self.home, self.port = home, free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.env = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", **env}
        self.process: Process | None = None

    def start(self) -> None:
        """The server alone: Prefect's own command would be a process around it, and be killed in its place."""
        command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)], env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_for(f"{self.url}/health", self.process)

    def kill(self) -> None:
        """As a power cut does it."""
        if self.process:
            self.process.kill()
            self.process.wait()


class Engine:
    """The process of one flow run, as a container of a job has it."""

    def __init__(self, run: UUID, flow: Flow[Any, Any], url: str, folder: Path, env: dict[str, str]) -> None:
        self.run, self.folder, self.log = run, folder, folder / f"{run}.log"
        given = {
            **os.environ,
            "PREFECT_API_URL": url,
            "PREFECT_HOME": str(folder),
            "PREFECT_LOGGING_TO_API_ENABLED": "true",
            "PREFECT__FLOW_RUN_ID": str(run),
            "PREFECT__FLOW_ENTRYPOINT": f"{Path(sys.modules[flow.fn.__module__].__file__ or '')}:{flow.fn.__name__}",
            "PYTHONPATH": str(ROOT),
            "WAIT_FOLDER": str(folder),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "longshore.flows.engine"], cwd=ROOT, env=given | env, stdout=log, stderr=log
            )

    @property
    def said(self) -> str:
        """What it has printed."""
        return self.log.read_text()

    def go_on(self, *names: str) -> None:
        """Let the flow pass these places."""
        for name in names:
            (self.folder / name).touch()

    def reached(self, name: str) -> bool:
        """Whether the flow has come to this place."""
        return (self.folder / f"{name}.reached").exists()

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        try:
            return self.process.wait(180)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the process has not ended; it said:\n{self.said}")


Start = Callable[..., Engine]


def until(met: Callable[[], Any], engine: Engine | None = None, seconds: float = 180) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, engine.said if engine else "it has not come to this"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("prefect"))
    made.start()
    yield made
    made.kill()


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    """The server, running; our own clients use it."""
    if shared.process is None or shared.process.poll() is not None:
        shared.start()
    with temporary_settings({PREFECT_API_URL: shared.url}):
        yield shared


@pytest.fixture
def start(server: Server, tmp_path: Path) -> Iterator[Start]:
    """Makes a run of a flow, and the process that runs it."""
    with ExitStack() as ends:

        def begin(
            flow: Flow[Any, Any],
            parameters: dict[str, Any] | None = None,
            run: UUID | None = None,
            url: str = "",
            **env: str,
        ) -> Engine:
            run = run or api("create_flow_run", flow, parameters=parameters or {}).id
            assert run
            engine = Engine(run, flow, url or server.url, tmp_path, env)
            ends.callback(stop, engine.process)
            return engine

        yield begin


def state(run: UUID) -> Any:
    """The state of a flow run."""
    return api("read_flow_run", run).state


def tasks(run: UUID) -> list[TaskRun]:
    """The task runs of a flow run."""
    found: list[TaskRun] = api("read_task_runs", flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])))
    return found


def log(run: UUID) -> list[str]:
    """What the server has of a run's log."""
    lines = api("read_logs", LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run])))
    return [line.message for line in lines]


def rows_once(taxi: Database, expected: Any) -> None:
    """All rows of the month are there, and no row twice."""
    sql = 'SELECT count(*), sum(round(total_amount * 100)::bigint), sum("PULocationID") FROM yellow_taxi_trips'
    assert taxi.rows(sql) == [(expected.rows, expected.total_cents, expected.zones)]


def test_a_load_whose_server_is_away_is_completed_when_it_is_back(
    server: Server, start: Start, taxi: Database, site: Site, publish: Callable[..., Any]
) -> None:
    expected = publish()
    site.faults[FILE] = [Fault(bytes_per_second=20_000)]
    engine = start(web_to_postgres, MONTH)
    until(lambda: site.asked(FILE), engine)
    server.kill()
    until(lambda: "is away" in engine.said, engine)  # it has the load's end to tell
    server.start()
    assert engine.ended() == 0, engine.said
    assert state(engine.run).is_completed()
    assert [one.run_count for one in tasks(engine.run)] == [1]
    rows_once(taxi, expected)
    lines = log(engine.run)
    assert any("3,000 rows" in line for line in lines), lines
    assert any("Finished in state Completed" in line for line in lines), lines
    assert len(lines) == len(set(lines)), lines
    assert "Traceback" not in engine.said
    assert engine.said.count("is away") == engine.said.count("is back") == 1


def test_a_run_that_starts_while_its_server_is_away_begins_when_it_is_back(
    server: Server, start: Start, taxi: Database, publish: Callable[..., Any]
) -> None:
    expected = publish()
    run = api("create_flow_run", web_to_postgres, parameters=MONTH)
    server.kill()
    engine = start(web_to_postgres, run=run.id)
    until(lambda: "is away" in engine.said, engine)
    server.start()
    assert engine.ended() == 0, engine.said
    assert state(engine.run).is_completed()
    rows_once(taxi, expected)


def test_a_run_whose_server_stays_away_ends_and_the_next_finds_what_it_loaded(
    server: Server, start: Start, taxi: Database, site: Site, publish: Callable[..., Any]
) -> None:
    expected = publish()
    site.faults[FILE] = [Fault(bytes_per_second=20_000)]
    engine = start(web_to_postgres, MONTH, API_RETRY_SECONDS="3")
    until(lambda: site.asked(FILE), engine)
    server.kill()
    assert engine.ended() == SERVER_AWAY, engine.said
    assert f"The Prefect server at 127.0.0.1:{server.port} was away for 3 s" in engine.said
    server.start()
    again = start(web_to_postgres, MONTH)
    assert again.ended() == 0, again.said
    rows_once(taxi, expected)


def test_a_run_that_takes_longer_than_its_time_limit_is_ended_and_says_so(start: Start) -> None:
    engine = start(away_flows.hanging, JOB_TIMEOUT_SECONDS="20")
    until(lambda: engine.reached("never"), engine)
    assert engine.ended() == OVERDUE, engine.said
    (child,) = children(engine.run)
    crashed = [state(engine.run), state(child.id), *(one.state for one in [*tasks(engine.run), *tasks(child.id)])]
    assert {(one.type.value, one.message) for one in crashed} == {
        ("CRASHED", "longer than its time limit of 20 s"),
    }


def test_the_time_limit_holds_while_the_server_is_away(server: Server, start: Start) -> None:
    engine = start(away_flows.hanging, JOB_TIMEOUT_SECONDS="20")
    until(lambda: engine.reached("never"), engine)
    server.kill()
    assert engine.ended() == OVERDUE, engine.said


def test_a_run_whose_crash_leaves_its_flow_waiting_for_ever_ends(start: Start) -> None:
    engine = start(away_flows.parent, JOB_EXIT_SECONDS="2")
    until(lambda: engine.reached("begin"), engine)
    api("delete_flow_run", engine.run)  # so that its task cannot be made
    engine.go_on("begin", "middle")
    assert engine.ended() == 1, engine.said
    assert "The run has crashed, but its process has not ended" in engine.said


def test_answers_that_are_lost_make_nothing_twice(server: Server, start: Start) -> None:
    with losing_answers(server.port) as url:
        engine = start(away_flows.parent, url=url)
        engine.go_on("begin", "middle")
        assert engine.ended() == 0, engine.said
    ended = state(engine.run)
    assert (ended.type.value, ended.message) == ("COMPLETED", "8")
    (child,) = children(engine.run)
    assert state(child.id).is_completed()
    assert len(tasks(engine.run)) == 3  # two tasks, and the one that stands for the subflow
    assert len(tasks(child.id)) == 1


def test_a_run_that_is_asked_to_stop_while_its_server_is_away_ends_at_the_end_of_the_retries(
    server: Server, start: Start
) -> None:
    engine = start(away_flows.parent, API_RETRY_SECONDS="3")
    until(lambda: engine.reached("begin"), engine)
    server.kill()
    engine.process.terminate()
    assert engine.ended() == SERVER_AWAY, engine.said


def test_a_run_that_is_asked_to_stop_ends_at_once_by_the_signal(start: Start) -> None:
    engine = start(away_flows.parent)
    until(lambda: engine.reached("begin"), engine)
    engine.process.terminate()
    assert engine.ended() == -signal.SIGTERM, engine.said
    assert state(engine.run).is_crashed()


@pytest.fixture(scope="module")
def records() -> Iterator[tuple[str, str]]:
    """A Postgres for Prefect's records, in a container: the embedded one lacks an extension. Its name, and its URL."""
    image = os.environ.get("POSTGRES_IMAGE") or "longshore/postgres:bookworm-15"
    if not docker_says("version", "--format", "{{.Server.Version}}") or not image_exists(image):
        pytest.skip(f"no Docker engine, or no image {image}: `make base` makes it")
    name, port = f"longshore-away-{uuid4()}", free_port()
    docker("run", "-d", "--name", name, "-p", f"127.0.0.1:{port}:5432", "-e", "POSTGRES_PASSWORD=pw", image, quiet=True)
    try:
        until(lambda: "accepting" in docker_says("exec", name, "pg_isready", "-h", "127.0.0.1", "-U", "postgres"))
        yield name, f"postgresql+asyncpg://postgres:pw@127.0.0.1:{port}/postgres"
    finally:
        docker("rm", "-fv", name, quiet=True)


def test_a_run_bears_with_a_server_whose_database_is_away(
    records: tuple[str, str], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    name, database = records
    server = Server(tmp_path_factory.mktemp("records"), PREFECT_API_DATABASE_CONNECTION_URL=database)
    server.start()
    try:
        with temporary_settings({PREFECT_API_URL: server.url}):
            run = api("create_flow_run", away_flows.parent)
            engine = Engine(run.id, away_flows.parent, server.url, tmp_path, {})
            until(lambda: engine.reached("begin"), engine)
            docker("stop", name, quiet=True)
            engine.go_on("begin", "middle")
            until(lambda: "is away (HTTP 5" in engine.said, engine)
            docker("start", name, quiet=True)
            assert engine.ended() == 0, engine.said
            assert state(engine.run).message == "8"
            assert len(tasks(engine.run)) == 3
    finally:
        server.kill()


@contextmanager
def losing_answers(port: int) -> Iterator[str]:
    """A way to the server on which the first answer to each request that changes something is lost; its API's URL."""
    seen: set[tuple[str, str, bytes]] = set()

    class Relay(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            far = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            far.request(self.command, self.path, body, dict(self.headers.items()))
            answer = far.getresponse()
            content = answer.read()
            far.close()
            key = (self.command, self.path, body)
            if self.command != "GET" and key not in seen:
                seen.add(key)
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name in ("Content-Type", "Content-Encoding"):
                if value := answer.getheader(name):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = relay  # noqa: N815

        def log_message(self, *given: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as relay:
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{relay.server_address[1]}/api"
        relay.shutdown()
    assert seen
