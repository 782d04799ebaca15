"""Settings: one list of defaults, and passwords that nobody else can read."""

import re
import subprocess
from pathlib import Path

import pytest

from scripts.blocks import connector
from scripts.settings import PASSWORDS, ROOT, UserError, make_env, need, read_env, settings, write_setting
from scripts.stack import STAND_INS, stack_settings


def test_env_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert make_env(path)
    first = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert not make_env(path)
    assert path.read_text() == first
    made = read_env(path)
    passwords = [made[name] for name in PASSWORDS]
    assert len(set(passwords)) == len(PASSWORDS)
    assert all(len(password) == 32 for password in passwords)


def test_a_setting_is_replaced_in_env(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    make_env(path)
    before = read_env(path)
    write_setting("BASE_IMAGE", "ours:1", path)
    assert read_env(path) == before | {"BASE_IMAGE": "ours:1"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_environment_wins_unless_it_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_PORT", "4321")
    monkeypatch.setenv("NETWORK", "")
    monkeypatch.setenv("PREFECT_API_URL", "")
    found = settings()
    assert found["PREFECT_PORT"] == "4321"
    assert found["NETWORK"]
    assert found["PREFECT_API_URL"].endswith(":4321/api")


def test_the_compose_file_and_the_example_agree() -> None:
    example = read_env(ROOT / ".env.example")
    used = re.findall(r"\$\{(\w+)(?::?-([^}]*))?[:?}]", (ROOT / "docker-compose.yml").read_text())
    assert {name for name, _ in used} <= set(example)
    computed = {"TAG", "DOCKER_GID", "GCP_KEY_UID", "GCP_KEY_FILE", *PASSWORDS}
    assert {(name, default) for name, default in used if name not in computed and default != example[name]} == set()


def test_no_password_is_under_git() -> None:
    assert all(not read_env(ROOT / ".env.example")[name] for name in PASSWORDS)
    tracked = subprocess.run(["git", "ls-files", ".env"], cwd=ROOT, capture_output=True, text=True)
    assert tracked.stdout == ""


def test_what_is_missing_is_named() -> None:
    with pytest.raises(UserError, match="WAREHOUSE_PASSWORD"):
        need({"WAREHOUSE_HOST": "x"}, "WAREHOUSE_HOST", "WAREHOUSE_PASSWORD")


def test_the_connector_hides_its_password_and_checks_its_port() -> None:
    env = {"WAREHOUSE_HOST": "h", "WAREHOUSE_DB": "d", "WAREHOUSE_USER": "u", "WAREHOUSE_PASSWORD": "s3cret!"}
    block = connector(env)
    assert "s3cret!" not in repr(block) + str(block.dict())
    with pytest.raises(UserError, match="WAREHOUSE_PORT=x"):
        connector({**env, "WAREHOUSE_PORT": "x"})


def test_the_demo_reads_the_stand_ins_and_gives_them_no_key_of_yours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODS_API_KEY", "mine")
    assert stack_settings("demo").items() >= STAND_INS.items()
    assert stack_settings("live")["BODS_API_KEY"] == "mine"
    with pytest.raises(UserError, match="SOURCE=other"):
        stack_settings("other")
