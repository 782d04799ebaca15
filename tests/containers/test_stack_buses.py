"""The demo's buses: from the schedule, through containers, to the page in a browser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from selenium.webdriver import Chrome

from jobs.late_buses.deployment import LIVE
from scripts.docker import docker_says
from scripts.settings import PASSWORDS
from scripts.stack import container
from tests.browser.page import Page
from tests.containers.conftest import inspect
from tests.containers.runs import ask, cloud, pause, run, wait_for

BEHIND, MISSED = timedelta(hours=1), 10  # an hour ago, when there was no stack, so many runs should have begun


def due(env: dict[str, str]) -> list[dict[str, Any]]:
    """The runs that should have begun by now."""
    mine = {"deployments": {"name": {"any_": [LIVE.name]}}}
    now = datetime.now(UTC)
    return [one for one in ask(env, "flow_runs/filter", mine) if when(one["expected_start_time"]) <= now]


def states(env: dict[str, str]) -> list[str]:
    """What became of them."""
    return [one["state_name"] for one in due(env)]


def when(text: str) -> datetime:
    """A time as Prefect writes it."""
    return datetime.fromisoformat(text)


def test_of_the_runs_that_are_due_one_is_run_and_the_others_are_skipped(stack: dict[str, str]) -> None:
    mine = f"deployments/{ask(stack, f'deployments/name/{LIVE.path}')['id']}"
    ask(stack, f"{mine}/resume_deployment", {})
    try:
        ask(stack, f"{mine}/schedule", {"start_time": (datetime.now(UTC) - BEHIND).isoformat(), "max_runs": MISSED})
        wait_for(lambda: states(stack).count("Skipped") >= MISSED - 2 and "Completed" in states(stack), 180)
    finally:
        pause(stack)
    wait_for(lambda: set(states(stack)) <= {"Completed", "Skipped"})
    ran = sorted((one["start_time"], one["end_time"]) for one in due(stack) if one["state_name"] == "Completed")
    assert all(when(before[1]) <= when(after[0]) for before, after in pairwise(ran))


def test_the_map_and_the_history_show_what_the_run_found(stack: dict[str, str], chromium: Chrome) -> None:
    done = run(stack, '{"late_minutes": -1000}', "master-flow")  # at night no bus may be late
    assert done.returncode == 0, done.stdout + done.stderr
    bucket, warehouse = cloud(stack)
    late = bucket.blob("late_buses.csv").download_as_text().count("\n") - 1
    chromium.get(f"http://127.0.0.1:{stack['MAP_PORT']}")
    page = Page(chromium)
    page.shows(f"more than 10 minutes late: {late}\n")
    assert len(page.circles()) == late
    (row,) = warehouse.query("SELECT COUNT(*) AS kept FROM bus_tracker.raw_late_buses").result()
    assert row.kept >= late > 0
    chromium.get(f"http://127.0.0.1:{stack['MAP_PORT']}/history")
    page.shows("By route")
    assert not page.alerts("Error")


def test_the_page_is_locked_up_and_has_only_the_secrets_that_it_needs(stack: dict[str, str]) -> None:
    found = inspect(container(stack, "map"))
    host = found["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] == 512 << 20
    assert found["Config"]["User"].split(":")[0] != "0"
    assert docker_says("exec", found["Id"], "id", "-u") == "10001"
    kept = [name for name in PASSWORDS if any(stack[name] in line for line in found["Config"]["Env"])]
    assert kept == ["WAREHOUSE_READER_PASSWORD"]
    assert not [line for line in found["Config"]["Env"] if line.startswith("BODS_API_KEY")]
