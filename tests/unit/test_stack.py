"""What keeps the stack from starting or from stopping is said in words that help, each fault being a real one."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.fernet import Fernet, MultiFernet

from control.encryption import WrongKey, rotate
from scripts.docker import need_engine
from scripts.services import Service, declared, port_settings, volumes
from scripts.settings import ENCRYPTION_KEY, ROOT, UserError, new_password, settings
from scripts.stack import greeting
from scripts.stack_checks import advice, is_taken, need_ports, need_room
from standins.google.servers import free_port

NOWHERE = "unix:///nowhere/docker.sock"


def own(**over: str) -> dict[str, str]:
    """Settings of a stack that is not there, on ports that are free."""
    ports = {name: str(free_port()) for name in port_settings(["emulators"])}
    return settings() | ports | {"COMPOSE_PROFILES": "emulators", "COMPOSE_PROJECT_NAME": "longshore-none"} | over


@contextmanager
def listening(host: str = "127.0.0.1") -> Iterator[int]:
    """A port that another program holds."""
    with socket.socket() as held:
        held.bind((host, 0))
        held.listen()
        yield held.getsockname()[1]


def stack(action: str, **env: str) -> subprocess.CompletedProcess[str]:
    """What `make ACTION` runs."""
    command = [sys.executable, "-m", "scripts.stack", action]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_ports_that_are_taken_are_all_named_with_their_settings(host: str) -> None:
    need_ports(own())
    with listening(host) as one, listening(host) as other:
        with pytest.raises(UserError) as told:
            need_ports(own(PREFECT_PORT=str(one), GCS_PORT=str(other)))
        assert f"PREFECT_PORT={one}, by another program" in str(told.value)
        assert f"GCS_PORT={other}, by another program" in str(told.value)
        need_ports(own(COMPOSE_PROFILES="", GCS_PORT=str(other)))  # nothing of the stack wants it
    assert not is_taken(one)


@pytest.mark.parametrize("port", ["", "x", "0", "65536", "4200x", "-1"])
def test_what_is_no_port_is_named(port: str) -> None:
    with pytest.raises(UserError, match=f"MAP_PORT={port}: not a port"):
        need_ports(own(MAP_PORT=port))


def test_one_port_for_two_is_named() -> None:
    env = own()
    with pytest.raises(UserError, match=r"MAP_PORT and PREFECT_PORT are both \d+"):
        need_ports(env | {"MAP_PORT": env["PREFECT_PORT"]})


def test_the_ports_are_those_of_the_compose_file() -> None:
    always = {"PREFECT_PORT": "prefect", "POSTGRES_PORT": "postgres", "MAP_PORT": "map"}
    assert port_settings([""]) == always
    cloud = {"GCS_PORT": "gcs", "TOKEN_PORT": "gcs", "BIGQUERY_PORT": "bigquery"}
    assert port_settings(["emulators", "demo"]) == always | cloud


def test_volumes_are_those_of_the_compose_file() -> None:
    assert volumes("mine") == [f"mine_{name}" for name in declared()["volumes"]]
    assert {"mine_postgres", "mine_prefect-db", "mine_cloud"} <= set(volumes("mine"))


def test_a_disk_too_full_for_a_build_is_said_before_it() -> None:
    need_room({"EXTRA_CA_FILE": ""}, gigabytes=0.000_001)
    with pytest.raises(UserError, match=r"only \d+\.\d GB are free where /.*may take 1e\+09 GB"):
        need_room(own(EXTRA_CA_FILE=""), gigabytes=1e9)


def test_a_build_that_cannot_take_the_certificates_along_is_said_before_it(folder_of_another: Path) -> None:
    with pytest.raises(UserError, match=f"cannot write {folder_of_another}, where the build takes EXTRA_CA_FILE from"):
        need_room({"EXTRA_CA_FILE": "/etc/ssl/ours.pem"}, gigabytes=0, copies=folder_of_another)
    need_room({"EXTRA_CA_FILE": ""}, gigabytes=0, copies=folder_of_another)


@pytest.mark.parametrize("action", ["up", "down", "clean", "logs"])
def test_without_an_engine_the_answer_is_a_line(action: str) -> None:
    done = stack(action, DOCKER_HOST=NOWHERE)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith((f"no Docker engine answers at {NOWHERE}: is it started?", "docker is not installed."))


def test_without_docker_the_answer_is_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="docker is not installed"):
        need_engine()
    need_ports(own())  # asks the engine who holds a port, where there is one


def test_no_permission_on_the_socket_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    user = os.geteuid()
    with TemporaryDirectory(dir="/tmp") as made, socket.socket(socket.AF_UNIX) as engine:
        where = Path(made) / "docker.sock"
        engine.bind(str(where))
        engine.listen()
        where.chmod(0o000)
        Path(made).chmod(0o755)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{where}")
        try:
            if user == 0:
                os.seteuid(65534)  # root may use any socket
            with pytest.raises(
                UserError, match=r"you may not use unix:///tmp/.*: join the group docker .*DOCKER_SOCKET"
            ):
                need_engine()
        finally:
            os.seteuid(user)


def test_an_encryption_key_that_is_not_the_records_is_told_from_the_servers_own_words() -> None:
    mine, theirs = (Fernet(new_password(ENCRYPTION_KEY)) for _ in range(2))
    with pytest.raises(WrongKey) as told:
        rotate(MultiFernet([mine]), "zoom-gcs", theirs.encrypt(b"{}").decode())
    assert re.search(r"mine_prefect-db.*put the \.env back.*make clean", advice(str(told.value), "mine"))
    assert advice("all is well", "mine") == ""


def test_the_password_is_shown_once() -> None:
    env = own(PREFECT_PASSWORD="s3cret")
    assert "log in as longshore, password s3cret (PREFECT_PASSWORD in .env)" in greeting(env, new=True)
    assert "log in as longshore, PREFECT_PASSWORD in .env" in greeting(env, new=False)
    assert "s3cret" not in greeting(env, new=False)


@pytest.mark.parametrize(
    ("status", "health", "code", "once", "wrong"),
    [
        ("running", "healthy", 0, False, ""),
        ("running", "starting", 0, False, ""),
        ("running", "unhealthy", 0, False, "unhealthy"),
        ("exited", "", 0, True, ""),
        ("exited", "", 3, True, "exited with 3"),
        ("exited", "", 0, False, "exited with 0"),
        ("paused", "healthy", 0, False, "paused"),
        ("dead", "", 0, True, "dead"),
    ],
)
def test_what_is_wrong_with_a_service(status: str, health: str, code: int, once: bool, wrong: str) -> None:
    assert Service("map", "0123", status, health, code, once).wrong == wrong
