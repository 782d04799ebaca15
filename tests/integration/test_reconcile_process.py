"""Runs as processes, lost for real: killed with their worker, twice; and workers that are asked to stop."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.deployments.deployments import Deployment
from prefect.states import Cancelling, Running, Scheduled

from scripts.deploy import put_pool
from scripts.settings import ROOT
from standins.google.servers import stop
from tests.integration.lost_runs import GO, TRIES, lost, parent
from tests.integration.prefect_server import api, bare_server, children
from workpools.alive import check
from workpools.pools import POOLS
from workpools.run_states import RESTARTED

QUICK = {
    "PREFECT_WORKER_QUERY_SECONDS": "0.5",
    "PREFECT_WORKER_PREFETCH_SECONDS": "1",
    "PREFECT_WORKER_HEARTBEAT_SECONDS": "2",
    "WORKER_GRACE_SECONDS": "2",
    "WORKER_WATCHER_SECONDS": "1",
    "WORKER_STOP_SECONDS": "15",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    with bare_server(home) as made:
        asyncio.run(put_pool(POOLS["process"]))
        yield made


@pytest.fixture
def deployment(url: str) -> UUID:
    return deploy("lost")


def deploy(name: str, flow: Any = lost, **labels: str) -> UUID:
    """The flow on the pool; its runs find this checkout."""
    made: Any = Deployment.build_from_flow(
        flow=flow,
        name=name,
        work_pool_name="process",
        job_variables={"env": {"PYTHONPATH": str(ROOT)}, "working_dir": str(ROOT), "labels": labels},
        path=str(ROOT),
        entrypoint=f"tests/integration/lost_runs.py:{flow.fn.__name__}",
        skip_upload=True,
        load_existing=False,
        ignore_file=os.devnull,
    )

    id: UUID = asyncio.run(_apply(made))
    return id


async def _apply(made: Any) -> Any:
    deployment = await made if asyncio.iscoroutine(made) else made
    return await deployment.apply()


class Worker:
    """Our worker as a process. log: what it and its runs print; alive: its sign of life."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, alive: Path) -> None:
        self.process, self.log, self.alive = process, log, alive

    def kill_with(self, run: UUID) -> None:
        """As a power cut does."""
        job = int(str(read(run).infrastructure_pid).rpartition(":")[2])
        for number in (self.process.pid, job):
            os.kill(number, signal.SIGKILL)
        self.process.wait(60)


@contextmanager
def worker(home: Path, url: str, name: str = "one", **env: str) -> Iterator[Worker]:
    """A worker, gone at the end."""
    log, alive = home / f"worker-{name}.log", home / f"alive-{name}"
    given = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": url, "PYTHONPATH": str(ROOT), **QUICK}
    given |= {"WORKER_ALIVE_FILE": str(alive), **env}
    command = [sys.executable, "-m", "workpools.worker", "--pool", "process", "--type", "process", "--name", name]
    with (
        log.open("ab") as output,
        subprocess.Popen(
            command, env=given, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        ) as started,
    ):
        try:
            yield Worker(started, log, alive)
        finally:
            stop(started, 60)


def until(met: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    """What a condition gives, once it gives something."""
    deadline = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
    return found


def begin(deployment: UUID, folder: Path) -> UUID:
    """A run, scheduled a minute ago."""
    scheduled: State[Any] = Scheduled(scheduled_time=datetime.now(UTC) - timedelta(seconds=60))
    run = api("create_flow_run_from_deployment", deployment, parameters={"folder": str(folder)}, state=scheduled)
    id: UUID = run.id
    return id


def read(run: UUID) -> FlowRun:
    found: FlowRun = api("read_flow_run", run)
    return found


def state(run: UUID) -> State[Any]:
    found = read(run).state
    assert found
    return found


def names(run: UUID) -> list[str]:
    """The states that it has had."""
    states = sorted(api("read_flow_run_states", run), key=lambda one: one.timestamp)
    return [one.name for one in states]


def tries(folder: Path) -> list[str]:
    """The second subflow of each try that got as far as its task."""
    file = folder / TRIES
    return file.read_text().splitlines() if file.exists() else []


def tasks(run: UUID) -> list[str]:
    of = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
    return sorted(task.state_name for task in api("read_task_runs", flow_run_filter=of))


def test_killed_with_its_worker_it_is_started_again_once_with_its_window_and_then_crashed(
    home: Path, url: str, deployment: UUID, tmp_path: Path
) -> None:
    with worker(home, url) as first:
        run = begin(deployment, tmp_path)
        until(lambda: tries(tmp_path), first.log.read_text())
        first.kill_with(run)
    assert state(run).type is StateType.RUNNING  # nobody has seen it
    with worker(home, url) as second:
        until(lambda: len(tries(tmp_path)) == 2, second.log.read_text())
        assert names(run).count(RESTARTED) == 1
        assert "Crashed" not in names(run)  # a parent that waits for it would have taken it for ended
        lost_child = UUID(tries(tmp_path)[0])
        assert state(lost_child).type is StateType.CRASHED
        assert tasks(lost_child) == ["Crashed"]
        second.kill_with(run)
    with worker(home, url) as third:
        ended = until(lambda: (s := state(run)).is_final() and s, third.log.read_text())
    assert ended.type is StateType.CRASHED
    assert ended.message.startswith("The process is gone: ")
    assert all(child.state and child.state.is_final() for child in children(run))
    assert {"Running", "Pending"}.isdisjoint(tasks(run))
    starts = (tmp_path / "starts").read_text().splitlines()
    assert len(starts) == 2
    assert len(set(starts)) == 1


def test_started_again_it_completes(home: Path, url: str, deployment: UUID, tmp_path: Path) -> None:
    with worker(home, url) as first:
        run = begin(deployment, tmp_path)
        until(lambda: tries(tmp_path), first.log.read_text())
        first.kill_with(run)
    (tmp_path / GO).touch()
    with worker(home, url) as second:
        ended = until(lambda: (s := state(run)).is_final() and s, second.log.read_text())
    assert ended.type is StateType.COMPLETED, ended


def test_a_process_that_dies_under_its_worker_is_started_again_too(
    home: Path, url: str, deployment: UUID, tmp_path: Path
) -> None:
    with worker(home, url) as only:
        run = begin(deployment, tmp_path)
        until(lambda: tries(tmp_path), only.log.read_text())
        os.kill(int(str(read(run).infrastructure_pid).rpartition(":")[2]), signal.SIGKILL)
        until(lambda: len(tries(tmp_path)) == 2, only.log.read_text())
        (tmp_path / GO).touch()
        ended = until(lambda: (s := state(run)).is_final() and s, only.log.read_text())
    assert ended.type is StateType.COMPLETED, ended
    assert names(run).count(RESTARTED) == 1


def test_the_runs_that_a_lost_run_has_started_go_on_and_are_waited_for_again(
    home: Path, url: str, deployment: UUID, tmp_path: Path
) -> None:
    waits = deploy("waits", parent)
    with worker(home, url) as only:
        run = begin(waits, tmp_path)
        until(lambda: tries(tmp_path), only.log.read_text())
        os.kill(int(str(read(run).infrastructure_pid).rpartition(":")[2]), signal.SIGKILL)
        again = tmp_path / "parents"
        until(lambda: len(again.read_text().splitlines()) == 2, only.log.read_text())
        (tmp_path / GO).touch()
        ended = until(lambda: (s := state(run)).is_final() and s, only.log.read_text())
    assert ended.type is StateType.COMPLETED, ended
    (child,) = children(run)
    assert names(child.id).count("Running") == 1
    assert {"Crashed", RESTARTED}.isdisjoint(names(child.id))


def test_with_no_restarts_left_to_it_a_run_is_crashed(home: Path, url: str, tmp_path: Path) -> None:
    deployment = deploy("never-again", **{"longshore.restarts": "0"})
    with worker(home, url) as only:
        run = begin(deployment, tmp_path)
        until(lambda: tries(tmp_path), only.log.read_text())
        os.kill(int(str(read(run).infrastructure_pid).rpartition(":")[2]), signal.SIGKILL)
        ended = until(lambda: (s := state(run)).is_final() and s, only.log.read_text())
    assert ended.type is StateType.CRASHED
    assert ended.message == "The process ended before the run did: exit code -9."
    assert RESTARTED not in names(run)


def test_lost_while_it_is_cancelled_it_is_cancelled(home: Path, url: str, deployment: UUID, tmp_path: Path) -> None:
    with worker(home, url) as first:
        run = begin(deployment, tmp_path)
        until(lambda: tries(tmp_path), first.log.read_text())
        first.kill_with(run)
    api("set_flow_run_state", run, Cancelling())
    with worker(home, url) as second:
        ended = until(lambda: (s := state(run)).is_final() and s, second.log.read_text())
    assert ended.type is StateType.CANCELLED
    assert all(child.state and child.state.is_final() for child in children(run))


def test_a_run_of_another_machine_is_left_alone(home: Path, url: str, deployment: UUID, tmp_path: Path) -> None:
    theirs, ours = begin(deployment, tmp_path), begin(deployment, tmp_path)
    for run, place in ((theirs, "another-machine:1"), (ours, f"{os.uname().nodename}:{2**22}")):
        api("set_flow_run_state", run, Running(), force=True)
        api("update_flow_run", run, infrastructure_pid=place)
    (tmp_path / GO).touch()
    with worker(home, url) as only:
        until(lambda: state(ours).is_final(), only.log.read_text())
    assert state(theirs).type is StateType.RUNNING


def test_asked_to_stop_it_ends_and_its_runs_are_not_left_running(
    home: Path, url: str, deployment: UUID, tmp_path: Path
) -> None:
    with worker(home, url) as only:
        run = begin(deployment, tmp_path)
        until(lambda: tries(tmp_path), only.log.read_text())
        only.process.send_signal(signal.SIGTERM)
        assert only.process.wait(60) == 0
        ended = until(lambda: (s := state(run)).is_final() and s, only.log.read_text())
    assert ended.type is StateType.CRASHED, ended


def test_asked_to_stop_it_ends_though_the_server_is_frozen(
    home: Path, deployment: UUID, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    frozen = tmp_path_factory.mktemp("frozen")
    with bare_server(frozen) as url:
        asyncio.run(put_pool(POOLS["process"]))
        run = begin(deploy("frozen"), tmp_path)
        with worker(home, url, "frozen") as only:
            until(lambda: tries(tmp_path), only.log.read_text())
            job = int(str(read(run).infrastructure_pid).rpartition(":")[2])
            (server,) = listening(url)
            os.kill(server, signal.SIGSTOP)
            try:
                only.process.send_signal(signal.SIGTERM)
                assert only.process.wait(60) == 0
                with pytest.raises(ProcessLookupError):
                    os.kill(job, 0)
            finally:
                os.kill(server, signal.SIGCONT)


def listening(url: str) -> list[int]:
    """Processes that listen on the port of a URL."""
    port = int(url.rpartition(":")[2].partition("/")[0])
    found = [one for one in psutil.net_connections("tcp") if one.status == "LISTEN" and one.pid]
    return [one.pid for one in found if one.pid and getattr(one.laddr, "port", 0) == port]


def test_its_sign_of_life_goes_on_without_a_server_and_ends_with_a_worker_that_hangs(
    home: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    apart = tmp_path_factory.mktemp("away")
    with bare_server(apart) as url:
        pass
    with worker(home, url, "waits") as only:  # nobody listens there any more
        until(lambda: only.alive.exists(), only.log.read_text())
        only.alive.unlink()
        until(lambda: only.alive.exists(), only.log.read_text())
        assert only.process.poll() is None
        assert check(only.alive) == ""
        os.kill(only.process.pid, signal.SIGSTOP)
        until(lambda: check(only.alive, 3), "stopped, it still shows that it lives")
        os.kill(only.process.pid, signal.SIGCONT)
        only.process.send_signal(signal.SIGTERM)
        only.process.wait(60)
