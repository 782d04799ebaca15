"""Who gets through the guard, and who does not."""

from base64 import b64encode

import pytest

from control.guard import Access, Asked, Refused, caller
from control.run_rules import pattern, surplus
from control.server import SettingError, access_from
from control.tokens import Claims, sign

HOST = "127.0.0.1:4200"
ACCESS = Access("correct-horse", "key", frozenset({HOST, "prefect:4200"}))
CLAIMS = Claims("7d4", "", (), (), 1_800_000_000)
FERNET = "7Q3jM6XcF0kZ2q8sV9wYb1nTt4uPp5rRl6oEe7iAa8g="
WHOLE = {
    "PREFECT_PASSWORD": "p",
    "PREFECT_TOKEN_KEY": "k",
    "PREFECT_SERVER_ENCRYPTION_KEY": FERNET,
    "PREFECT_HOSTS": f"{HOST}, Prefect:4200",
}


def basic(name: str = "longshore", password: str = "correct-horse") -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


def ask(method: str = "GET", path: str = "/api/flows/filter", host: str = HOST, **headers: str) -> Claims | None:
    """What the guard says of a request."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return caller(Asked(method, path, {"host": host, **named}), ACCESS)


def refusal(*given: str, **headers: str) -> int:
    """The status with which a request is refused."""
    with pytest.raises(Refused) as caught:
        ask(*given, **headers)
    return caught.value.status


@pytest.mark.parametrize("given", ["Bearer correct-horse", "bearer correct-horse", basic()])
def test_the_password_gives_everything(given: str) -> None:
    assert ask(authorization=given) is None


@pytest.mark.parametrize(
    "given",
    [
        "", "Bearer", "Bearer ", "Bearer correct-hors", "Bearer correct-horse ", "Basic correct-horse", "correct-horse",
        "Bearer ü", basic("admin"), basic(password=""), basic().replace("Basic", "Bearer"), "Digest correct-horse",
    ],
)  # fmt: skip
def test_nothing_else_gets_in(given: str) -> None:
    assert refusal(authorization=given) == 401


def test_whoever_must_log_in_is_told_where_the_password_is() -> None:
    with pytest.raises(Refused, match=r"longshore.*PREFECT_PASSWORD in \.env"):
        ask()


def test_the_token_of_a_run_says_which_run_asks() -> None:
    assert ask(authorization=f"Bearer {sign('key', CLAIMS)}") == CLAIMS
    assert refusal(authorization=f"Bearer {sign('other', CLAIMS)}") == 401
    assert refusal(authorization="Basic " + b64encode(sign("key", CLAIMS).encode()).decode()) == 401


def test_whether_the_server_is_well_needs_no_log_in_and_nothing_else_does_without() -> None:
    assert ask("GET", "/api/health") is None
    for method, path in (("POST", "/api/health"), ("GET", "/api/health/"), ("GET", "/"), ("WEBSOCKET", "/api/health")):
        assert refusal(method, path) == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4200", "127.0.0.1", "localhost:4200", ""])
def test_another_name_for_this_server_is_refused(host: str) -> None:
    with pytest.raises(Refused, match="PREFECT_HOSTS"):
        ask(host=host, authorization="Bearer correct-horse")


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://127.0.0.1:8501", "http://localhost:4200", "http://prefect:4200", "null", ""],
)
def test_a_page_of_another_origin_is_refused_with_the_log_in_as_well(origin: str) -> None:
    for method in ("GET", "POST", "OPTIONS", "WEBSOCKET"):
        assert refusal(method, origin=origin, authorization=basic()) == 403


def test_our_own_page_may_ask() -> None:
    for method in ("GET", "POST", "WEBSOCKET"):
        assert ask(method, origin=f"http://{HOST}", sec_fetch_site="same-origin", authorization=basic()) is None


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE", "OPTIONS", "WEBSOCKET"])
def test_a_browsers_log_in_changes_nothing_without_an_origin_and_a_programs_key_does(method: str) -> None:
    assert refusal(method, authorization=basic()) == 403
    assert ask(method, authorization="Bearer correct-horse") is None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_may_link_to_a_page_and_nothing_else(site: str) -> None:
    link = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document", "authorization": basic()}
    assert ask("GET", "/runs", sec_fetch_site=site, **link) is None
    assert refusal("GET", "/api/flows/1", sec_fetch_site=site, **link) == 403
    assert refusal("POST", "/runs", sec_fetch_site=site, **link) == 403
    assert refusal("GET", "/runs", sec_fetch_site=site, **{**link, "sec_fetch_dest": "iframe"}) == 403
    assert refusal("GET", "/runs", sec_fetch_site=site, **{**link, "sec_fetch_mode": "no-cors"}) == 403


def test_the_hosts_are_read_whatever_their_case_and_spaces() -> None:
    assert access_from(WHOLE).hosts == {HOST, "prefect:4200"}


def test_secrets_are_not_shown_with_what_knows_them() -> None:
    assert "correct-horse" not in repr(ACCESS)


@pytest.mark.parametrize("name", list(WHOLE))
def test_a_missing_setting_is_named(name: str) -> None:
    with pytest.raises(SettingError, match=name):
        access_from({**WHOLE, name: ""})


def test_a_key_that_is_none_is_an_error_that_says_how_to_make_one() -> None:
    with pytest.raises(SettingError, match=r"PREFECT_SERVER_ENCRYPTION_KEY is no Fernet key.*generate_key"):
        access_from({**WHOLE, "PREFECT_SERVER_ENCRYPTION_KEY": "short"})


def test_a_path_of_the_rules_takes_one_id_and_nothing_around_it() -> None:
    shape = pattern("/flow_runs/{id}")
    one = "7d4f0c9e-0000-4000-8000-00000000000a"
    assert shape.fullmatch(f"/api/flow_runs/{one}")
    for other in (
        f"/api/flow_runs/{one}/",
        f"/api/flow_runs/{one}/input",
        "/api/flow_runs/filter",
        f"/flow_runs/{one}",
    ):
        assert not shape.fullmatch(other)


def test_what_a_request_may_not_set_is_named_unless_it_is_set_to_nothing() -> None:
    assert surplus({"name": "a", "job_variables": None}, frozenset({"name"})) == ""
    assert "job_variables, work_queue_name" in surplus(
        {"work_queue_name": "q", "job_variables": {"image": "x"}}, frozenset()
    )
    assert surplus([], frozenset())
