"""Settings: one list of defaults, and passwords that nobody else can read."""

import re
import subprocess
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from scripts.blocks import connector
from scripts.settings import (
    ENCRYPTION_KEY,
    PASSWORDS,
    ROOT,
    UserError,
    fill_env,
    need,
    new_password,
    read_env,
    settings,
    write_setting,
)
from scripts.stack import STAND_INS, stack_settings
from scripts.worker import variables


def test_env_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert set(fill_env(path)) == set(PASSWORDS)
    first = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert fill_env(path) == []
    assert path.read_text() == first
    made = read_env(path)
    assert list(made) == list(read_env(ROOT / ".env.example"))
    assert len({made[name] for name in PASSWORDS}) == len(PASSWORDS)
    assert all(len(made[name]) == 32 for name in PASSWORDS if name != ENCRYPTION_KEY)


def test_an_older_env_gets_what_it_lacks_and_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# mine\nPOSTGRES_PASSWORD='a b$c'\nexport WAREHOUSE_PASSWORD=w\nPREFECT_TOKEN_KEY=")  # no newline
    path.chmod(0o600)
    lacked = [name for name in PASSWORDS if name not in ("POSTGRES_PASSWORD", "WAREHOUSE_PASSWORD")]
    assert fill_env(path) == lacked
    found = read_env(path)
    assert (found["POSTGRES_PASSWORD"], found["WAREHOUSE_PASSWORD"]) == ("a b$c", "w")
    assert all(found[name] for name in PASSWORDS)
    assert path.read_text().startswith("# mine\nPOSTGRES_PASSWORD='a b$c'\nexport WAREHOUSE_PASSWORD=w\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == [".env"]


def test_the_encryption_key_is_one_of_fernets() -> None:
    key = Fernet(new_password(ENCRYPTION_KEY))
    assert key.decrypt(key.encrypt(b"x")) == b"x"


def test_generated_values_are_the_same_for_every_reader_of_env(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    fill_env(path)
    plain = dict(line.split("=", 1) for line in path.read_text().splitlines() if line and not line.startswith("#"))
    assert plain == read_env(path)
    assert not [name for name in PASSWORDS if re.search(r"[\s$'\"#\\\\]", plain[name])]


def test_quotes_export_and_comments_are_understood(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        """\ufeff# a comment
export NETWORK="mine"
  TAG = 'a b'   # why
GCS_BUCKET=plain # why
PREFECT_API_KEY=pa$$w${ord}#1
MAP_TILES=
WAREHOUSE_PASSWORD="two\\nlines"
"""
    )
    assert read_env(path) == {
        "NETWORK": "mine",
        "TAG": "a b",
        "GCS_BUCKET": "plain",
        "PREFECT_API_KEY": "pa$$w${ord}#1",
        "MAP_TILES": "",
        "WAREHOUSE_PASSWORD": "two\nlines",
    }


@pytest.mark.parametrize("wrong", ["WAREHOUSE_PASSWORD", "PASSWORD OF=s3cret", "GCS_BUCKET='s3cret", "export s3cret"])
def test_a_line_that_is_none_is_named_by_its_number_and_not_shown(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / ".env"
    path.write_text(f"NETWORK=mine\n\n# why\n\n{wrong}\nTAG=x\n")
    with pytest.raises(UserError, match=r"\.env, line 5: not NAME=value") as told:
        read_env(path)
    assert "s3cret" not in str(told.value)


def test_a_setting_is_replaced_in_env(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    fill_env(path)
    before = read_env(path)
    write_setting("BASE_IMAGE", "ours:1", path)
    assert read_env(path) == before | {"BASE_IMAGE": "ours:1"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_checkout_that_cannot_be_written_is_named(folder_of_another: Path) -> None:
    path = folder_of_another / ".env"
    with pytest.raises(UserError, match=rf"cannot write {path}: Permission denied. Use a checkout of your own"):
        fill_env(path)


def test_an_env_that_cannot_be_read_is_named(folder_of_another: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*theirs: Permission denied"):
        read_env(folder_of_another / "theirs")


def test_the_key_is_our_own_servers_password_and_goes_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_PASSWORD", "s3cret")
    monkeypatch.setenv("PREFECT_PORT", "4321")
    for name in ("PREFECT_API_KEY", "PREFECT_API_URL"):
        monkeypatch.setenv(name, "")
    assert settings()["PREFECT_API_KEY"] == "s3cret"
    assert settings({"PREFECT_API_KEY": "given"})["PREFECT_API_KEY"] == "given"
    for url, key in {
        "http://localhost:4321/api": "s3cret",
        "http://127.0.0.1:4322/api": "",
        "http://prefect.example:4321/api": "",
        "https://api.prefect.cloud/api/accounts/a/workspaces/w": "",
    }.items():
        monkeypatch.setenv("PREFECT_API_URL", url)
        assert settings()["PREFECT_API_KEY"] == key, url


def test_the_environment_wins_unless_it_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_PORT", "4321")
    monkeypatch.setenv("NETWORK", "")
    monkeypatch.setenv("PREFECT_API_URL", "")
    found = settings()
    assert found["PREFECT_PORT"] == "4321"
    assert found["NETWORK"]
    assert found["PREFECT_API_URL"].endswith(":4321/api")


def test_a_worker_gets_what_its_pool_needs_and_the_token_key_for_our_own_server_only() -> None:
    found = {"PREFECT_PORT": "4200", "PREFECT_API_KEY": "k", "PREFECT_TOKEN_KEY": "t", "NETWORK": "n", "REGISTRY": ""}
    ours = found | {"PREFECT_API_URL": "http://127.0.0.1:4200/api"}
    reached = {"PREFECT_API_URL": ours["PREFECT_API_URL"], "PREFECT_API_KEY": "k"}
    assert variables("process", ours) == reached
    assert variables("docker", ours) == reached | {"NETWORK": "n", "PREFECT_TOKEN_KEY": "t"}
    assert "PREFECT_TOKEN_KEY" not in variables("docker", found | {"PREFECT_API_URL": "https://api.prefect.cloud/api"})


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
