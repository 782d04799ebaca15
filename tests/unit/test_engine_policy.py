"""What the proxy before the Docker engine lets be made: containers of our jobs, nothing that owns the machine."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.engine.calls import Refused, read_ask
from control.policy import CONFIG, HOST_CONFIG, Policy, refusals
from tests.unit.job_containers import FORBIDDEN, changed, job_body

ENV = {"NETWORK": "longshore", "IMAGE_PREFIX": "longshore", "JOB_CA_FILE": "/ca.crt"}
POLICY = Policy.from_env(ENV)
IMAGE = "longshore/web-to-postgres:0123456789ab"
DIGEST = "@sha256:" + "a" * 64
VALUES = st.one_of(st.just(True), st.integers(1), st.text(min_size=1), st.lists(st.text(), min_size=1))


def test_the_container_of_a_job_is_let_through() -> None:
    assert refusals(POLICY, job_body(POLICY, IMAGE)) == []


def test_an_image_of_the_registry_is_let_through_by_its_digest() -> None:
    policy = Policy.from_env({**ENV, "REGISTRY": "registry.example.org:5000/etl/"})
    assert refusals(policy, job_body(policy, "registry.example.org:5000/etl/web-to-gcs" + DIGEST)) == []
    assert refusals(policy, job_body(policy, "registry.example.org:5000/etl-evil/web-to-gcs" + DIGEST))


@pytest.mark.parametrize("attempt", FORBIDDEN)
def test_what_no_job_needs_is_refused_by_name(attempt: str) -> None:
    where, value = FORBIDDEN[attempt]
    wrong = refusals(POLICY, changed(job_body(POLICY, IMAGE), where, value))
    assert [reason.split(":")[0].startswith(where) for reason in wrong] == [True]


def test_without_a_ca_file_no_bind_is_left_not_even_of_an_empty_name() -> None:
    policy = Policy.from_env({**ENV, "JOB_CA_FILE": ""})
    body = job_body(policy, IMAGE)
    assert refusals(policy, body) == []
    assert refusals(policy, changed(body, "HostConfig.Binds", [":/etc/ssl/job-ca.crt:ro"]))
    assert refusals(policy, changed(body, "Volumes", {"/etc/ssl/job-ca.crt": {}}))


@pytest.mark.parametrize("name", sorted({"Image", "Cmd", "Labels", "HostConfig"}))
def test_what_a_job_must_have_is_missed(name: str) -> None:
    body = job_body(POLICY, IMAGE)
    del body[name]
    assert any(wrong.startswith(name) for wrong in refusals(POLICY, body))


@pytest.mark.parametrize(
    "name", ["CapDrop", "Memory", "MemorySwap", "NetworkMode", "PidsLimit", "ReadonlyRootfs", "SecurityOpt", "Tmpfs"]
)
def test_a_lock_that_is_left_out_is_missed(name: str) -> None:
    body = job_body(POLICY, IMAGE)
    del body["HostConfig"][name]
    assert [wrong.split()[0] for wrong in refusals(POLICY, body)] == [f"HostConfig.{name}"]


@given(st.text(min_size=1).filter(lambda name: name not in HOST_CONFIG), VALUES)
def test_any_other_field_of_the_host_config_is_refused(name: str, value: Any) -> None:
    body = changed({"HostConfig": {}}, "HostConfig", {name: value})
    assert f"HostConfig.{name} is not for a job's container" in " ".join(refusals(POLICY, body))


@given(st.sampled_from(sorted({*HOST_CONFIG, *CONFIG})), st.data())
def test_a_field_in_another_case_is_refused_even_if_empty(name: str, data: st.DataObject) -> None:
    """Go reads it as the field, and the last one counts."""
    other = data.draw(st.sampled_from([name.lower(), name.upper(), name.swapcase()]))
    body = job_body(POLICY, IMAGE)
    assert refusals(POLICY, changed(body, f"HostConfig.{other}", None))
    assert refusals(POLICY, changed(body, other, None))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_a_body_of_any_shape_is_refused_not_stumbled_over(body: Any) -> None:
    assert refusals(POLICY, body)
    assert refusals(POLICY, {"HostConfig": body, **dict.fromkeys(CONFIG, body)})
    assert refusals(POLICY, {"HostConfig": dict.fromkeys(HOST_CONFIG, body)})


def test_a_host_of_docker_internal_is_refused_with_what_to_do() -> None:
    body = job_body(POLICY, IMAGE, env={"PREFECT_API_URL": "http://localhost:4200/api"}, networks=["longshore-api"])
    body = changed(body, "HostConfig.ExtraHosts", ["host.docker.internal:host-gateway"])
    assert "set it to http://prefect:4200/api" in refusals(POLICY, body)[0]


def test_no_value_of_a_jobs_environment_gets_into_a_message() -> None:
    body = changed(job_body(POLICY, IMAGE), "Env", {"KEY": "s3cret"})
    assert "s3cret" not in " ".join(refusals(POLICY, body))


@pytest.mark.parametrize(
    "path",
    [
        b"/containers/x/../../images/json",
        b"/containers/x%2f..%2fy/json",
        b"/containers/%2e%2e/json",
        b"//containers/json",
        b"/containers//json",
        b"/containers/json/",
        b"/containers/json\n",
        b"/v1.41//containers/json",
        b"/v1.41/v1.41/containers/json",
        b"/v1.23/containers/json",
        b"/V1.41/containers/json",
        b"/CONTAINERS/json",
        b"/containers/x;y/json",
        b"/containers/x%00/json",
        b"http://docker/containers/json",
        b"",
    ],
)
def test_an_odd_path_is_refused(path: bytes) -> None:
    with pytest.raises(Refused):
        read_ask("GET", path, b"", b"", "")


@pytest.mark.parametrize("query", [b"t=1&t=2", b"T=1", b"t=1&x=", b"signal=9", b"%74=1&t=2"])
def test_an_odd_query_is_refused(query: bytes) -> None:
    read_ask("POST", b"/v1.41/containers/x/stop", b"t=1", b"", "")
    with pytest.raises(Refused):
        read_ask("POST", b"/v1.41/containers/x/stop", query, b"", "")


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        read_ask("POST", b"/containers/create", b"", body, "")
