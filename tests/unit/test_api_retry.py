"""How long Prefect's clients bear with an API, and with which answers: real clients, and a small real server."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient
from prefect.exceptions import PrefectHTTPStatusError

from longshore.flows import api_retry
from longshore.flows.api_retry import ServerAway, is_away, retry_while_away
from standins.google.servers import free_port


@dataclass
class Api:
    """An API that gives the answers it is told to, in their order, and then 200 for good."""

    url: str = ""
    answers: list[int | None] = field(default_factory=list)  # a status, or None: the connection is cut
    ready: int = 200
    body: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = made.ready
            if self.path != "/api/ready":
                made.asked.append(f"{self.command} {self.path}")
                due = made.answers.pop(0) if made.answers else 200
                if due is None:
                    return
                status = due
            content = json.dumps(made.body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *given: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made.url = f"http://127.0.0.1:{server.server_address[1]}/api"
        yield made
        server.shutdown()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(api_retry, "FIRST", 0.01)
    retry_while_away(60)
    yield
    retry_while_away(30)  # of other tests in this process


@pytest.fixture(params=["sync", "async"])
def post(request: pytest.FixtureRequest, api: Api) -> Any:
    """Posts to the API by one of Prefect's two clients."""

    def synchronous(url: str = "") -> httpx.Response:
        with PrefectHttpxSyncClient(base_url=url or api.url) as client:
            return client.post("/things", json={})

    def asynchronous(url: str = "") -> httpx.Response:
        async def call() -> httpx.Response:
            async with PrefectHttpxAsyncClient(base_url=url or api.url) as client:
                return await client.post("/things", json={})

        return asyncio.run(call())

    return synchronous if request.param == "sync" else asynchronous


def test_a_connection_that_is_cut_is_asked_again(api: Api, post: Any) -> None:
    api.answers = [None, None, None]
    assert post().status_code == 200
    assert len(api.asked) == 4
    assert not is_away()


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_without_its_database_is_waited_for(api: Api, post: Any, status: int) -> None:
    api.answers, api.ready = [status] * 6, 503
    assert post().status_code == 200
    assert len(api.asked) == 7


def test_a_server_that_fails_at_one_request_alone_is_not_waited_for(api: Api, post: Any) -> None:
    api.answers = [500] * 100
    with pytest.raises(PrefectHTTPStatusError, match="500"):
        post()
    assert len(api.asked) == api_retry.FAULTS_OF_A_READY_SERVER


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_a_refusal_is_taken_at_once(api: Api, post: Any, status: int) -> None:
    api.answers = [status]
    with pytest.raises(PrefectHTTPStatusError, match=str(status)):
        post()
    assert len(api.asked) == 1


def test_the_retries_end_with_what_was_away_and_no_secret(post: Any, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    said: list[str] = []
    waits: list[bool] = []
    retry_while_away(0.5, waiting=lambda: waits.append(is_away()), exhausted=said.append)
    with pytest.raises(ServerAway, match=f"The Prefect server at 127.0.0.1:{port} was away for 0.5 s"):
        post(f"http://user:s3cret@127.0.0.1:{port}/api")
    assert len(said) == 1
    assert waits
    assert all(waits)
    assert "s3cret" not in said[0] + "".join(capsys.readouterr())


def test_all_requests_of_a_process_share_one_retry(post: Any) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/api"
    waits: list[None] = []
    retry_while_away(0.5, waiting=lambda: waits.append(None))
    with pytest.raises(ServerAway):
        post(nobody)
    waits.clear()
    with pytest.raises(ServerAway):
        post(nobody)
    assert not waits


def test_a_state_that_was_taken_before_its_answer_was_lost_is_taken(api: Api, post: Any) -> None:
    details = {"type": "reject_details", "reason": api_retry.MADE_BEFORE}
    api.body = {"state": {"type": "COMPLETED"}, "status": "REJECT", "details": details}
    assert post().json() == {"state": {"type": "COMPLETED"}, "status": "ACCEPT", "details": {"type": "accept_details"}}


def test_another_refusal_of_a_state_stays_one(api: Api, post: Any) -> None:
    details = {"type": "reject_details", "reason": f"Not this: {api_retry.MADE_BEFORE}"}
    api.body = {"state": None, "status": "REJECT", "details": details}
    assert post().json() == api.body


def test_a_log_line_that_holds_these_words_is_no_such_answer(api: Api, post: Any) -> None:
    api.body = {"message": api_retry.MADE_BEFORE}
    assert post().json() == api.body


@pytest.mark.parametrize(("given", "seconds"), [("7", 7.0), ("", 600.0)])
def test_one_setting_says_how_long(monkeypatch: pytest.MonkeyPatch, given: str, seconds: float) -> None:
    monkeypatch.setenv("API_RETRY_SECONDS", given)
    retry_while_away()
    assert api_retry._retry is not None
    assert api_retry._retry.seconds == seconds
