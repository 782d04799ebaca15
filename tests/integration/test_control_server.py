"""Our Prefect server behind its guard: what a stranger, a run and a person get of it."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.deployments.deployments import run_deployment
from prefect_gcp import GcpCredentials, GcsBucket
from websockets import Origin, Subprotocol
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from standins.buses.server import BusSite
from tests.conftest import Cloud, Database
from tests.integration.guarded_server import PASSWORD, Guarded, engine, guarded_jobs, secret, token
from tests.integration.prefect_server import api, children, process

BLOCK, OTHER_BLOCK = "secret/of-the-job", "secret/of-another"
SOCKET = "/task_runs/subscriptions/scheduled"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Guarded]:
    with guarded_jobs(home, PREFECT_API_SERVICES_SCHEDULER_ENABLED="false") as running:
        for name in (BLOCK, OTHER_BLOCK):
            secret(f"value of {name}").save(name.split("/")[1])
        yield running


def due(deployment: str, **parameters: Any) -> FlowRun:
    """A run that waits to be run."""
    made: Any = run_deployment(deployment, parameters=parameters, timeout=0, as_subflow=False)
    assert isinstance(made, FlowRun)
    return made


def ended(run: FlowRun) -> Any:
    return api("read_flow_run", run.id).state


def refused(server: Guarded) -> list[str]:
    """What the guard has said no to."""
    return re.findall(r".* refused: .*", server.log.read_text())


def deployment_of(flow: str, name: str) -> str:
    return str(api("read_deployment_by_name", f"{flow}/{name}").id)


# Strangers


STRANGERS: dict[str, tuple[dict[str, str], int]] = {
    "no log-in": ({}, 401),
    "a wrong password": ({"authorization": "Bearer wrong"}, 401),
    "a name of somebody else's": ({"authorization": f"Bearer {PASSWORD}", "host": "evil.example"}, 400),
    "a page of somebody else's": ({"authorization": f"Bearer {PASSWORD}", "origin": "http://evil.example"}, 403),
}


@pytest.mark.parametrize(("headers", "status"), STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_reads_no_block_and_starts_no_run(server: Guarded, headers: dict[str, str], status: int) -> None:
    deployment = deployment_of("web-to-gcs", "monthly")
    before = server.ask("POST", "/flow_runs/count").json()
    attack = {"job_variables": {"image": "evil", "volumes": ["/:/host"], "command": "id"}}
    for method, path, body in (
        ("POST", "/block_documents/filter", {"include_secrets": True}),
        ("POST", f"/deployments/{deployment}/create_flow_run", attack),
        ("GET", "/admin/settings", None),
    ):
        answer = server.ask(method, path, key=None, headers=headers, json=body)
        assert answer.status_code == status, answer.text
        assert "value of" not in answer.text
    assert server.ask("POST", "/flow_runs/count").json() == before


def test_the_pages_ask_the_browser_for_the_log_in_and_are_not_kept_or_framed(server: Guarded) -> None:
    page = server.ask("GET", f"http://{server.host}/", key=None)
    assert page.status_code == 401
    assert page.headers["www-authenticate"].startswith("Basic ")
    assert "PREFECT_PASSWORD in .env" in page.json()["detail"]
    page = server.ask("GET", f"http://{server.host}/")
    assert page.status_code == 200
    assert page.headers["x-frame-options"] == "DENY"
    assert server.ask("GET", "/flows/count").headers.get("cache-control") == "no-store"
    assert server.ask("GET", "/health", key=None).json() is True


@pytest.mark.parametrize("path", [SOCKET, "/events/in", "/events/out"])
def test_a_web_socket_opens_with_the_password_alone(server: Guarded, path: str) -> None:
    run = due("web-to-gcs/monthly")
    url = server.url.replace("http://", "ws://") + path
    for key in (None, "wrong", token(run)):
        with pytest.raises(InvalidStatus, match="403"), connect(url, additional_headers=bearer(key)):
            pass
    with pytest.raises(InvalidStatus, match="403"):
        connect(url, additional_headers=bearer(PASSWORD), origin=Origin("http://evil.example"))
    if path == SOCKET:  # events are off
        with connect(url, additional_headers=bearer(PASSWORD), subprotocols=[Subprotocol("prefect")]) as socket:
            socket.send(json.dumps({"type": "auth"}))
            assert json.loads(socket.recv(timeout=60)) == {"type": "auth_success"}


def bearer(key: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


# Runs


def test_a_run_reads_the_block_that_its_deployment_names_with_the_one_inside(
    server: Guarded, taxi: Database, cloud: Cloud, publish: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(month=1)
    GcpCredentials(project="local").save("inner", overwrite=True)
    GcsBucket(bucket=cloud.bucket.name, gcp_credentials=GcpCredentials.load("inner")).save("outer", overwrite=True)
    monkeypatch.delenv("GCS_BUCKET")
    run = due("web-to-gcs/monthly", color="yellow", year=2021, months=[1], bucket="outer")
    said = engine(server, run, token(run, ("gcs-bucket/outer",)))
    assert ended(run).is_completed(), said
    assert list(cloud.objects()) == ["data/yellow/yellow_tripdata_2021-01.parquet"]
    assert server.ask("POST", "/logs/filter", json={"logs": {"flow_run_id": {"any_": [str(run.id)]}}}).json()
    assert server.ask("GET", "/block_documents/filter", token(run, ("gcs-bucket/outer",))).status_code == 403


def test_a_run_without_its_block_says_which_one_and_where_it_is_named(server: Guarded) -> None:
    run = due("web-to-postgres/monthly", color="yellow", year=2021, months=[1])
    said = engine(server, run, token(run, ("gcs-bucket/outer",)))
    assert ended(run).is_failed()
    assert "the run's deployment does not name the block sqlalchemy-connector/postgres-connector" in said
    assert "`blocks` in its jobs/*/deployment.py" in said


def test_flows_with_subflows_run_with_their_own_token_alone(
    server: Guarded, taxi: Database, cloud: Cloud, buses: BusSite, publish: Callable[..., Any]
) -> None:
    publish(month=1)
    before = refused(server)
    for name, parameters in (
        ("etl-parent-flow/monthly", {"months": [1], "year": 2021, "color": "yellow", "dataset": cloud.dataset}),
        ("master-flow/master__flow", {"now": "2026-02-04T08:40:00+00:00", "sinks": ["postgres"]}),
    ):
        run = due(name, **parameters)
        said = engine(server, run, token(run))
        assert ended(run).is_completed(), said
        assert {child.state_name for child in children(run.id)} == {"Completed"}
    assert refused(server) == before


def test_a_backfill_starts_what_its_deployment_names_and_nothing_else(
    home: Path, server: Guarded, taxi: Database, publish: Callable[..., Any]
) -> None:
    publish(month=1)
    wanted = {"start": "2021-01", "end": "2021-01", "deployments": ["web-to-postgres/monthly"]}
    run = due("backfill/backfill", **wanted, parameters={"dataset": "yellow"})
    queue = ("--pool", "process", "--type", "process", "--work-queue", "web-to-postgres")
    env = {"PREFECT_API_URL": server.url, "PREFECT_API_KEY": PASSWORD, "PREFECT_WORKER_QUERY_SECONDS": "0.5"}
    with process(home, "worker", "worker", "start", *queue, **env):
        said = engine(server, run, token(run, starts=("web-to-postgres/monthly",)))
    assert ended(run).is_completed(), said
    assert taxi.value("SELECT slice FROM load_ledger") == "yellow 2021-01"
    other = due("backfill/backfill", **wanted, parameters={"dataset": "yellow"})
    said = engine(server, other, token(other, starts=("web-to-gcs/monthly",)))
    assert ended(other).is_failed()
    assert "does not name web-to-postgres/monthly among those that it starts" in said


def test_a_run_skips_runs_of_its_own_deployment_and_no_other(server: Guarded) -> None:
    run, late, other = due("backfill/backfill"), due("backfill/backfill"), due("web-to-gcs/monthly")
    skip = {"state": {"type": "CANCELLED", "name": "Skipped"}}
    key = token(run)
    mine = {"deployments": {"id": {"any_": [str(run.deployment_id)]}}}
    found = server.ask("POST", "/flow_runs/filter", key, json=mine)
    assert {str(run.id), str(late.id)} <= {one["id"] for one in found.json()}
    assert server.ask("POST", f"/flow_runs/{other.id}/set_state", key, json=skip).status_code == 403
    failed = {"state": {"type": "FAILED"}}
    assert server.ask("POST", f"/flow_runs/{late.id}/set_state", key, json=failed).status_code == 403
    assert server.ask("POST", f"/flow_runs/{late.id}/set_state", key, json=skip).status_code == 201
    assert ended(late).name == "Skipped"
    assert server.ask("POST", f"/flow_runs/{late.id}/set_state", key, json=skip).status_code == 403


@pytest.fixture(scope="module")
def probe(server: Guarded) -> dict[str, str]:
    """A run that may start runs, a task of its own, and a run, a task and a deployment that are not its own."""
    run, other = due("backfill/backfill"), due("web-to-gcs/monthly")
    made: dict[str, str] = {"run": str(run.id), "other": str(other.id), "other_deployment": str(other.deployment_id)}
    for name, of in (("task", run), ("other_task", other)):
        body = {"flow_run_id": str(of.id), "task_key": "probe", "dynamic_key": "0"}
        made[name] = server.ask("POST", "/task_runs/", json=body).json()["id"]
    started = ("web-to-postgres/monthly",)
    made["started"] = deployment_of("web-to-postgres", "monthly")
    made["flow"] = str(other.flow_id)
    made["key"] = token(run, (BLOCK,), started)
    return made


LOG = {"name": "x", "level": 20, "message": "x", "timestamp": "2026-01-01T00:00:00Z"}
BLOCKS = "/block_types/slug/secret/block_documents"
START = "/deployments/{started}/create_flow_run"
NOT_A_RUNS: list[tuple[str, str, Any]] = [
    ("GET", f"{BLOCKS}/name/of-another?include_secrets=true", None),
    ("GET", BLOCKS, None),
    ("POST", "/block_documents/filter", {"include_secrets": True}),
    ("GET", "/flow_runs/{other}", None),
    ("GET", "/task_runs/{other_task}", None),
    ("GET", "/deployments/{other_deployment}", None),
    ("GET", "/deployments/name/web-to-gcs/monthly", None),
    ("POST", "/deployments/filter", {}),
    ("POST", "/flow_runs/filter", {}),
    ("POST", "/flow_runs/filter", {"deployments": {"id": {"any_": []}}}),
    ("POST", "/flow_runs/filter", {"deployments": {"id": {"any_": ["{other_deployment}"]}}}),
    ("POST", "/flow_runs/filter", {"flow_runs": {"id": {"any_": ["{run}", "{other}"]}}}),
    ("POST", "/flow_runs/filter", {"flow_runs": {"operator": "or_", "id": {"any_": ["{run}"]}, "tags": {}}}),
    ("POST", "/flow_runs/{other}/set_state", {"state": {"type": "CANCELLED"}}),
    ("POST", "/task_runs/{other_task}/set_state", {"state": {"type": "COMPLETED"}}),
    ("PATCH", "/flow_runs/{other}", {"name": "x"}),
    ("PATCH", "/flow_runs/{run}", {"job_variables": {"image": "evil"}}),
    ("PATCH", "/flow_runs/{run}", {"infrastructure_pid": "engine:another-container"}),
    ("DELETE", "/flow_runs/{run}", None),
    ("POST", "/logs/", [{**LOG, "flow_run_id": "{run}"}, {**LOG, "flow_run_id": "{other}"}]),
    ("POST", "/logs/", [{**LOG, "flow_run_id": "{run}", "task_run_id": "{other_task}"}]),
    ("POST", "/logs/", [LOG]),
    ("POST", "/artifacts/", {"key": "x", "flow_run_id": "{other}"}),
    ("POST", "/artifacts/", {"key": "x"}),
    ("POST", "/task_runs/", {"flow_run_id": "{other}", "task_key": "x", "dynamic_key": "x"}),
    ("POST", "/task_runs/", {"task_key": "x", "dynamic_key": "x"}),
    ("POST", "/flow_runs/", {"flow_id": "{flow}"}),
    ("POST", "/flow_runs/", {"flow_id": "{flow}", "parent_task_run_id": "{other_task}"}),
    ("POST", "/flow_runs/", {"flow_id": "{flow}", "parent_task_run_id": "{task}", "deployment_id": "{started}"}),
    ("POST", "/deployments/{other_deployment}/create_flow_run", {"parent_task_run_id": "{task}"}),
    ("POST", START, {}),
    ("POST", START, {"parent_task_run_id": "{task}", "job_variables": {"image": "evil"}}),
    ("POST", START, {"parent_task_run_id": "{task}", "work_queue_name": "late-buses"}),
    ("POST", START, {"parent_task_run_id": "{task}", "idempotency_key": "scheduled"}),
    ("PATCH", "/deployments/{started}", {"job_variables": {"image": "evil"}}),
    ("POST", "/deployments/", {"name": "x", "flow_id": "{flow}"}),
    ("POST", "/work_pools/process/get_scheduled_flow_runs", {}),
    ("GET", "/admin/settings", None),
    ("POST", "/admin/database/clear", {"confirm": True}),
    ("POST", "/automations/", {}),
    ("POST", "/variables/", {"name": "x", "value": "x"}),
    ("GET", "/", None),
]


@pytest.mark.parametrize(("method", "path", "body"), NOT_A_RUNS, ids=[f"{one[0]} {one[1]}" for one in NOT_A_RUNS])
def test_a_run_gets_nothing_that_is_not_its_own(
    server: Guarded, probe: dict[str, str], method: str, path: str, body: Any
) -> None:
    answer = server.ask(method, filled(path, probe), probe["key"], json=filled(body, probe))
    assert answer.status_code == 403, answer.text
    assert "a run's token" in answer.json()["detail"]
    with_password = server.ask("GET", f"/flow_runs/{probe['run']}").json()
    assert with_password["job_variables"] in (None, {})


def filled(value: Any, names: dict[str, str]) -> Any:
    """A path or body with the ids in their places."""
    text = json.dumps(value)
    return json.loads(re.sub(r"\{(\w+)\}", lambda name: names[name[1]], text))


def test_a_run_gets_what_is_its_own(server: Guarded, probe: dict[str, str]) -> None:
    below = {"parent_task_run_id": probe["task"], "idempotency_key": f"{probe['run']} 1"}
    for method, path, body, status in (
        ("GET", f"{BLOCKS}/name/of-the-job?include_secrets=true", None, 200),
        ("GET", f"/flow_runs/{probe['run']}", None, 200),
        ("GET", f"/task_runs/{probe['task']}", None, 200),
        ("POST", "/logs/", [{**LOG, "flow_run_id": probe["run"], "task_run_id": probe["task"]}], 201),
        ("POST", "/artifacts/", {"key": "x", "task_run_id": probe["task"]}, 201),
        ("POST", f"/deployments/{probe['started']}/create_flow_run", below, 201),
    ):
        answer = server.ask(method, path, probe["key"], json=body)
        assert answer.status_code == status, (path, answer.text)
    child = answer.json()["id"]
    assert server.ask("GET", f"/flow_runs/{child}", probe["key"]).status_code == 200
    # Not even on what it started: a run's image is the deployment's.
    changed = server.ask("PATCH", f"/flow_runs/{child}", probe["key"], json={"job_variables": {"image": "evil"}})
    assert changed.status_code == 403
    cancel = {"state": {"type": "CANCELLED"}}
    assert server.ask("POST", f"/flow_runs/{child}/set_state", probe["key"], json=cancel).status_code == 201


def test_a_body_that_is_no_json_or_too_large_is_refused(server: Guarded, probe: dict[str, str]) -> None:
    assert server.ask("POST", "/logs/", probe["key"], content=b"{").status_code == 400
    assert server.ask("POST", "/logs/", probe["key"], content=b" " * (33 * 1024**2)).status_code == 413


def test_a_token_ends_with_its_run(server: Guarded, home: Path) -> None:
    run = due("web-to-gcs/monthly")
    key = token(run)
    log = [{**LOG, "flow_run_id": str(run.id)}]
    assert server.ask("POST", f"/flow_runs/{run.id}/set_state", key, json={"state": {"type": "FAILED"}}).is_success
    assert server.ask("POST", "/logs/", key, json=log).is_success  # the last lines
    with sqlite3.connect(home / "prefect.db") as database:
        minute_ago = "UPDATE flow_run SET state_timestamp = datetime(state_timestamp, '-31 seconds') WHERE id = ?"
        assert database.execute(minute_ago, [str(run.id)]).rowcount == 1
    for method, path, body in (("POST", "/logs/", log), ("GET", f"/flow_runs/{run.id}", None)):
        answer = server.ask(method, path, key, json=body)
        assert answer.status_code == 403
        assert "the run of this token has ended" in answer.json()["detail"]


def test_a_token_is_worth_nothing_after_its_time_or_without_its_run(server: Guarded) -> None:
    run = due("web-to-gcs/monthly")
    answer = server.ask("GET", f"/flow_runs/{run.id}", token(run, seconds=-1))
    assert (answer.status_code, "has expired" in answer.text) == (403, True)
    answer = server.ask("GET", f"/flow_runs/{run.id}", token(run.copy(update={"id": uuid4()})))
    assert (answer.status_code, "is not there" in answer.text) == (403, True)
    assert server.ask("GET", f"/flow_runs/{run.id}", token(run)[:-2]).status_code == 401
