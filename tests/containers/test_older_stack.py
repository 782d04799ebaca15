"""A stack of an older version, and an .env that is not the volumes': what `make up` makes of them, by compose."""

from collections.abc import Iterator

import pytest

from scripts.databases import inside, sql
from scripts.docker import docker_says
from scripts.move_records import OLD, counts
from scripts.services import services
from scripts.settings import PASSWORDS, ROOT, UserError, new_password
from scripts.stack import clean, container, have_databases, stack_settings
from standins.google.servers import free_port
from tests.containers.test_databases import IMAGE, OURS

PROJECT = "longshore-test-older"
pytestmark = pytest.mark.skipif(not IMAGE, reason="no Postgres image here: make base")


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Settings of a stack of its own, which is cleaned away at the end."""
    mine = {name: new_password(name) for name in PASSWORDS}
    mine |= {"COMPOSE_PROJECT_NAME": PROJECT, "NETWORK": PROJECT, "POSTGRES_IMAGE": IMAGE, "TAG": "none"}
    mine |= {"POSTGRES_PORT": str(free_port()), "COMPOSE_PROFILES": ""}
    for name, value in mine.items():
        monkeypatch.setenv(name, value)
    try:
        yield stack_settings("live")
    finally:
        clean(yes=True)


def older(env: dict[str, str]) -> None:
    """The one database server of an older version, on its volume and its network, with a run on it."""
    label = ["--label", f"com.docker.compose.project={PROJECT}"]
    docker_says("network", "create", *label, PROJECT)
    names = ("POSTGRES_PASSWORD", "PREFECT_DB_PASSWORD", "WAREHOUSE_PASSWORD", "WAREHOUSE_DB", "WAREHOUSE_USER")
    given = [part for name in names for part in ("--env", f"{name}={env[name]}")]
    folder = f"{ROOT}/docker/postgres/initdb.d/10-databases.sh:/docker-entrypoint-initdb.d/10-databases.sh:ro"
    made = docker_says(
        *(
            "run",
            "--detach",
            "--name",
            f"{PROJECT}_server",
            "--network",
            PROJECT,
            *given,
            "--env",
            "PREFECT_DB=prefect",
        ),
        *("--volume", folder, "--volume", f"{PROJECT}_postgres:/var/lib/postgresql/data", IMAGE),
    )
    wait = "until pg_isready -q -h 127.0.0.1; do sleep 0.3; done"
    inside(made, "timeout", "120", "sh", "-c", wait)
    sql(made, "SET ROLE prefect;" + OURS, "prefect")
    sql(made, "SET ROLE warehouse; CREATE TABLE trips AS SELECT 1 AS id", "warehouse")
    docker_says(
        "run",
        "--detach",
        "--network",
        PROJECT,
        "--label",
        "io.prefect.flow-run-id=0",
        "--entrypoint",
        "sleep",
        IMAGE,
        "600",
    )
    docker_says("stop", made)
    docker_says("rm", made)


def test_an_older_stack_comes_over_with_all_it_has(env: dict[str, str]) -> None:
    older(env)
    have_databases(env, 300)
    warehouse, records = (container(env, name) for name in ("postgres", "prefect-db"))
    assert counts(records, ("flow_run", "deployment", "block_document")) == [5000, 1, 12]
    assert counts(warehouse, ("flow_run",), OLD) == [5000]
    assert sql(warehouse, "SELECT id FROM trips", "warehouse") == "1"
    assert (
        docker_says(
            "ps", "--all", "--quiet", "--filter", "label=io.prefect.flow-run-id=0", "--filter", f"network={PROJECT}"
        )
        == ""
    )
    assert docker_says("network", "ls", "--quiet", "--filter", f"name=^{PROJECT}$") == ""
    before = {one.name: one.container for one in services(PROJECT)}
    have_databases(env, 300)  # nothing is left to do
    assert {one.name: one.container for one in services(PROJECT)} == before

    with pytest.raises(
        UserError, match=rf"WAREHOUSE_PASSWORD does not open .*{PROJECT}_postgres, {PROJECT}_prefect-db"
    ):
        have_databases(env | {"WAREHOUSE_PASSWORD": "another"}, 300)
    with pytest.raises(UserError, match="PREFECT_DB_PASSWORD does not open"):
        have_databases(env | {"PREFECT_DB_PASSWORD": "another"}, 300)


def test_a_service_that_does_not_come_up_is_named_with_its_last_lines(env: dict[str, str]) -> None:
    volume = f"{PROJECT}_prefect-db:/data"  # holds no database, and yet is not empty
    write = "install -d -o 999 -g 999 -m 700 /data && echo 14 > /data/PG_VERSION && chown 999:999 /data/PG_VERSION"
    docker_says("run", "--rm", "--user", "0", "--volume", volume, "--entrypoint", "sh", IMAGE, "-c", write)
    with pytest.raises(
        UserError, match=r"(?s)prefect-db is .*\n  .*could not access the server configuration file.*make logs"
    ):
        have_databases(env, 60)
