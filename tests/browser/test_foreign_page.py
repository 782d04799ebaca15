"""Prefect's pages behind the log-in, in a real Chromium that keeps it; what a page of somebody else's gets of them."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from selenium.webdriver import Chrome

from tests.browser.page import Page
from tests.conftest import Cloud, Database, browser
from tests.integration.guarded_server import PASSWORD, Guarded, engine, guarded_jobs, secret, token
from tests.integration.prefect_server import api
from tests.integration.test_control_server import due

EVIL = "evil.example"
ASK = """
const [url, given, done] = arguments;
fetch(url, {credentials: 'include', ...given}).then(async answer => done([answer.status, await answer.text()]))
  .catch(error => done([0, String(error)]));
"""
# A body without a type makes a request that needs no leave, which Prefect reads as JSON.
SEND = """
const [url, body, done] = arguments;
fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include', body: new Blob([body])})
  .then(() => done()).catch(() => done());
"""
FORM = """
const [url, name, done] = arguments;
document.body.innerHTML = '<iframe name="there"></iframe><form method="post" enctype="text/plain" target="there">'
  + '<input></form>';
const form = document.querySelector('form');
form.action = url;
form.querySelector('input').name = name;
document.querySelector('iframe').onload = () => done('sent');
form.submit();
"""
SOCKET = """
const [url, done] = arguments;
const socket = new WebSocket(url, 'prefect');
socket.onopen = () => done('open');
socket.onerror = () => done('refused');
"""
FRAME = """
const [url, done] = arguments;
const frame = document.createElement('iframe');
frame.onload = () => done();
frame.src = url;
document.body.append(frame);
"""


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a website of somebody else's."""
    root = tmp_path_factory.mktemp("foreign")
    (root / "index.html").write_text("<!doctype html><title>elsewhere</title><body></body>")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root))) as website:
        Thread(target=website.serve_forever, daemon=True).start()
        yield website.server_port
        website.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    home = tmp_path_factory.mktemp("prefect")
    with guarded_jobs(home, PREFECT_API_SERVICES_SCHEDULER_ENABLED="false") as running:
        secret("value-of-the-block").save("of-the-job")
        yield running


@pytest.fixture(scope="module")
def logged_in(server: Guarded) -> Iterator[Chrome]:
    """A browser that keeps the log-in. To it, the name of somebody else's leads to this machine."""
    with browser(f"MAP {EVIL} 127.0.0.1 , MAP * ~NOTFOUND , EXCLUDE 127.0.0.1") as started:
        started.get(f"http://longshore:{PASSWORD}@{server.host}/")
        yield started


def refusals(server: Guarded) -> list[str]:
    return [line for line in server.log.read_text().splitlines() if " refused: " in line]


@pytest.mark.parametrize("name", ["127.0.0.1", EVIL], ids=["another port", "another site"])
def test_a_foreign_page_reads_no_block_and_starts_no_run(
    server: Guarded, logged_in: Chrome, foreign: int, name: str
) -> None:
    deployment = api("read_deployment_by_name", "web-to-gcs/monthly").id
    start = f"{server.url}/deployments/{deployment}/create_flow_run"
    blocks = f"{server.url}/block_documents/filter"
    secrets = {"method": "POST", "body": '{"include_secrets": true}', "headers": {"content-type": "application/json"}}
    attack = json.dumps({"job_variables": {"image": "evil", "command": "id"}})

    logged_in.get(f"http://{server.host}/")  # the log-in is kept: our own page needs no other
    status, text = logged_in.execute_async_script(ASK, f"http://{server.host}/api/block_documents/filter", secrets)
    assert (status, "value-of-the-block" in text) == (200, True)
    before, said = runs(server), len(refusals(server))

    logged_in.get(f"http://{name}:{foreign}/")
    assert logged_in.title == "elsewhere"
    for url, given in ((blocks, secrets), (blocks, {**secrets, "headers": {}}), (f"{server.url}/flows/count", {})):
        status, text = logged_in.execute_async_script(ASK, url, given)
        assert (status, "value-of-the-block" in text) == (0, False)
    logged_in.execute_async_script(SEND, start, attack)
    assert logged_in.execute_async_script(FORM, start, attack[:-1] + ', "x":"') == "sent"
    assert logged_in.execute_async_script(SOCKET, server.url.replace("http", "ws") + "/events/out") == "refused"
    logged_in.execute_async_script(FRAME, f"http://{server.host}/")
    assert any("GET / refused" in line for line in refusals(server)[said:])

    assert runs(server) == before
    refused = refusals(server)[said:]
    assert sum("create_flow_run" in line and "POST" in line for line in refused) == 2
    assert any("block_documents/filter" in line for line in refused)
    assert any("WEBSOCKET" in line for line in refused)


def runs(server: Guarded) -> int:
    return int(server.ask("POST", "/flow_runs/count").json())


def test_a_name_that_somebody_else_points_here_is_refused(server: Guarded, logged_in: Chrome) -> None:
    logged_in.get(f"http://{EVIL}:{server.host.split(':')[1]}/")
    assert "PREFECT_HOSTS" in Page(logged_in).text()


def test_without_the_log_in_a_browser_sees_where_the_password_is(server: Guarded, chromium: Chrome) -> None:
    chromium.get(f"http://{server.host}/api/flows/count")
    assert "value-of-the-block" not in Page(chromium).text()
    chromium.get(f"http://{server.host}/")
    assert "Prefect Server" not in chromium.title


def test_all_pages_work_with_the_log_in(
    server: Guarded,
    logged_in: Chrome,
    taxi: Database,
    cloud: Cloud,
    publish: Callable[..., Any],
    tmp_path: Path,
) -> None:
    publish(month=1)
    run = due("web-to-gcs/monthly", color="yellow", year=2021, months=[1])
    said = engine(server, run, token(run))
    assert api("read_flow_run", run.id).state.is_completed(), said
    for kind in ("browser", "performance"):
        logged_in.get_log(kind)  # type: ignore[no-untyped-call] # what is said from here on
    page = Page(logged_in)
    for path, shown in (
        ("/dashboard", "Dashboard"),
        ("/flows", "etl-parent-flow"),
        ("/flow-runs", run.name),
        (f"/flow-runs/flow-run/{run.id}", "3,000 loaded into"),  # a line of its log
        ("/deployments", "monthly"),
        ("/work-pools", "process"),
        ("/artifacts", "web-to-gcs"),
        ("/blocks", "of-the-job"),
    ):
        logged_in.get(f"http://{server.host}{path}")
        page.shows(shown)
        logged_in.save_screenshot(str(tmp_path / f"{path.split('/')[1]}-{len(path)}.png"))
    answers = [json.loads(entry["message"])["message"] for entry in logged_in.get_log("performance")]  # type: ignore[no-untyped-call]
    seen = [one["params"]["response"] for one in answers if one["method"] == "Network.responseReceived"]
    assert any(f"/api/flow_runs/{run.id}/graph" in one["url"] for one in seen)
    unanswered = {(one["status"], one["url"]) for one in seen if one["status"] >= 400 and server.host in one["url"]}
    assert {url.rpartition("/")[2].partition("?")[0] for _, url in unanswered} <= {"csrf-token"}, unanswered
    wrong = [entry["message"] for entry in logged_in.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[no-untyped-call]
    assert [line for line in wrong if " 401 " in line or " 403 " in line] == []
