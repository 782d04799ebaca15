"""Backfills on a real Prefect server, with a real worker."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.deployments.deployments import run_deployment
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import AwaitingRetry, Cancelling

from jobs.etl_parent.backfill import backfill
from standins.web.server import Fault, Site
from tests.conftest import Cloud, Database
from tests.integration.prefect_server import api, children, server, worker

POSTGRES = "web-to-postgres/monthly"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="module")
def prefect(home: Path) -> Iterator[str]:
    with server(home) as url:
        yield url


@pytest.fixture
def work(home: Path, prefect: str, taxi: Database, cloud: Cloud) -> Iterator[None]:
    """A worker whose runs read the stand-in and write to the test's own sinks."""
    with worker(home, prefect, {}):
        yield


def run(**parameters: Any) -> Any:
    """The final state of a backfill in this process."""
    flow: Any = backfill(**{"start": "2021-01", "end": "2021-03"} | parameters, return_state=True)
    return asyncio.run(flow)


def started(**parameters: Any) -> Any:
    """The id of a backfill that the worker runs."""
    run: Any = run_deployment("backfill/backfill", parameters=parameters, timeout=0)
    return run.id


def until(met: Callable[[], Any], seconds: float = 120) -> Any:
    """What a condition gives, once it gives something."""
    deadline = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def ended(run: Any) -> Any:
    """The run's final state."""
    until(lambda: api("read_flow_run", run).state.is_final())
    return api("read_flow_run", run).state


def retry(run: Any) -> None:
    """What the button in Prefect's pages does."""
    done = api("set_flow_run_state", run, AwaitingRetry())
    assert done.status == "ACCEPT", done


def slices(taxi: Database) -> list[str]:
    """What the warehouse holds."""
    return [name for (name,) in taxi.rows("SELECT slice FROM load_ledger ORDER BY 1")]


def most_at_once(runs: list[FlowRun]) -> int:
    """How many of the runs ran at the same time."""
    changes: list[tuple[Any, int]] = [(run.start_time, 1) for run in runs] + [(run.end_time, -1) for run in runs]
    running = accumulate(change for _, change in sorted(changes))
    return max(running)


def test_every_month_runs_once_and_only_so_many_at_once(work: None, cloud: Cloud, publish: Callable[..., Any]) -> None:
    expected = [publish(month=month) for month in (1, 2, 3)]
    state = run(at_most=2, parameters={"dataset": cloud.dataset})
    assert state.is_completed(), state.message
    runs = children(state.state_details.flow_run_id)
    assert sorted(run.parameters["months"] for run in runs) == [[1], [2], [3]]
    assert most_at_once(runs) <= 2
    before = cloud.contents("rides")
    assert len(before) == sum(month.rows for month in expected)
    state = run(at_most=2, parameters={"dataset": cloud.dataset})
    assert [row["message"] for row in state.result()] == ["2 unchanged: 0 rows"] * 3
    assert cloud.contents("rides") == before


def test_a_chain_of_deployments_goes_as_far_as_they_complete(
    work: None, cloud: Cloud, publish: Callable[..., Any]
) -> None:
    publish(month=1)
    state = run(deployments=["web-to-gcs/monthly", "gcs-to-bigquery/monthly"], end="2021-02")
    assert state.message.startswith(
        "1 of 2 months failed. 2021-02: web-to-gcs/monthly, run web-to-gcs 2021-02: Failed."
    )
    runs = children(state.state_details.flow_run_id)
    assert sorted(run.name for run in runs) == ["gcs-to-bigquery 2021-01", "web-to-gcs 2021-01", "web-to-gcs 2021-02"]
    assert [run.state_name for run in runs if run.parameters["months"] == [1]] == ["Completed", "Completed"]


def test_a_month_that_fails_is_named_and_a_retry_starts_no_other(
    work: None, taxi: Database, publish: Callable[..., Any]
) -> None:
    publish(month=1)
    publish(month=3)
    backfill = started(deployments=[POSTGRES], end="2021-03")
    state = ended(backfill)
    assert state.is_failed()
    assert state.message.startswith("1 of 3 months failed. 2021-02: ")
    assert "yellow_tripdata_2021-02.csv.gz answered HTTP 404" in state.message
    assert slices(taxi) == ["yellow 2021-01", "yellow 2021-03"]
    publish(month=2)
    retry(backfill)
    assert ended(backfill).is_completed()
    assert sorted(run.parameters["months"] for run in children(backfill)) == [[1], [2], [2], [3]]
    assert slices(taxi) == ["yellow 2021-01", "yellow 2021-02", "yellow 2021-03"]


def test_killed_and_retried_it_waits_for_what_it_has_started(
    work: None, taxi: Database, publish: Callable[..., Any]
) -> None:
    publish(month=1)
    publish(month=2)
    backfill = started(deployments=[POSTGRES], end="2021-02", at_most=1)
    until(lambda: children(backfill))
    os.kill(int(api("read_flow_run", backfill).infrastructure_pid.rpartition(":")[2]), signal.SIGKILL)
    assert ended(backfill).is_crashed()
    retry(backfill)
    assert ended(backfill).is_completed()
    assert sorted(run.parameters["months"] for run in children(backfill)) == [[1], [2]]
    assert slices(taxi) == ["yellow 2021-01", "yellow 2021-02"]


def test_cancelled_it_takes_its_runs_along(work: None, taxi: Database, site: Site, publish: Callable[..., Any]) -> None:
    publish(month=1)
    site.faults["/objects/yellow/yellow_tripdata_2021-01.csv.gz"] = [Fault(times=None, stall_after=1_000)]
    backfill = started(deployments=[POSTGRES], end="2021-02", at_most=1)
    child = until(lambda: [run for run in children(backfill) if run.state_name == "Running"])[0]
    api("set_flow_run_state", backfill, Cancelling())
    assert ended(backfill).is_cancelled()
    assert ended(child.id).is_cancelled()
    assert [run.id for run in children(backfill)] == [child.id]
    assert taxi.value("SELECT count(*) FROM load_ledger") == 0


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"deployments": ["nowhere/monthly"]}, "There is no deployment nowhere/monthly at http://127.0.0.1:"),
        ({"deployments": ["nowhere"]}, "There is no deployment nowhere at http://127.0.0.1:"),
        ({"deployments": ["backfill/backfill"]}, "backfill/backfill takes no year and no months; it takes start, end,"),
        ({"parameters": {"colour": "green"}}, "etl-parent-flow/monthly takes no colour; it takes months, year, color,"),
        ({"parameters": {"force": "perhaps"}}, "etl-parent-flow/monthly does not take these parameters: "),
        ({"start": "2021-13"}, "start and end are months, YYYY-MM, not '2021-13' and '2021-03'."),
        ({"start": "2021-04"}, "start 2021-04 is after end 2021-03."),
        ({"at_most": 0}, "at_most and deployments: "),
    ],
    ids=str,
)
def test_what_cannot_be_starts_nothing(parameters: dict[str, Any], said: str, prefect: str) -> None:
    state = run(**parameters)
    assert state.is_failed()
    assert state.message.startswith(said)
    assert children(state.state_details.flow_run_id) == []


def test_without_a_server_it_says_so() -> None:
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        state = run()
    assert state.is_failed()
    assert state.message.startswith("There is no deployment etl-parent-flow/monthly here; set PREFECT_API_URL to a")
