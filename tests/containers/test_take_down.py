"""`make down` and `make clean` leave no container of the stack, whatever became of it, and no one else's is touched."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from scripts.docker import docker_says
from scripts.settings import ROOT, UserError
from scripts.stack_checks import need_ports, own_ports
from standins.google.servers import free_port
from tests.containers.conftest import inspect
from tests.containers.test_databases import IMAGE

ME, OTHER = "longshore-test-down", "longshore-test-other"
RUN = "io.prefect.flow-run-id=0"
pytestmark = pytest.mark.skipif(not IMAGE, reason="no image to try with: make base")


def made(name: str, *args: str, label: str, command: str = "sleep 600", do: str = "run --detach") -> str:
    """A container with this label, among others."""
    docker_says(*do.split(), "--name", name, "--label", label, *args, "--entrypoint", "sh", IMAGE, "-c", command)
    return str(inspect(name)["Id"])


def there(*filters: str) -> list[str]:
    """Containers of any state, by filters."""
    given = [part for one in filters for part in ("--filter", one)]
    return docker_says("ps", "--all", "--quiet", "--no-trunc", *given).split()


@pytest.fixture
def networks() -> Iterator[tuple[str, str]]:
    """A network of the stack's and one of another's; whatever is left on them goes at the end."""
    names = (ME, OTHER)
    for name in names:
        docker_says("network", "create", "--label", f"com.docker.compose.project={name}", name)
    try:
        yield names
    finally:
        for name in names:
            if left := there(f"label=longshore.stack={name}") + there(f"network={name}"):
                docker_says("unpause", *left)
                docker_says("rm", "--force", "--volumes", *left)
            docker_says("network", "rm", name)


def stack(action: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What `make ACTION` runs."""
    mine = {"COMPOSE_PROJECT_NAME": ME, "NETWORK": ME, "PYTHONPATH": "."}
    command = [sys.executable, "-m", "scripts.stack", action, *words]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **mine}, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("words", [("down",), ("clean", "--yes")])
def test_nothing_of_ours_is_left_in_any_state(networks: tuple[str, str], words: tuple[str, ...]) -> None:
    label = f"longshore.stack={ME}"
    made("longshore-test-created", label=label, do="create")
    made("longshore-test-running", "--network", ME, label=label)
    made("longshore-test-deaf", label=label, command="trap '' TERM; sleep 600 & wait; wait")
    made("longshore-test-exited", label=label, command="exit 137")
    docker_says("pause", made("longshore-test-paused", label=label))
    # An older version's, which has Prefect's label alone.
    made("longshore-test-older", "--network", ME, label=RUN)
    made("longshore-test-older-created", "--network", ME, label=RUN, do="create")
    # A service of the compose file, paused.
    service = ["--network", ME, *("--label=com.docker.compose.oneoff=False", "--label=com.docker.compose.service=map")]
    docker_says("pause", made("longshore-test-map", *service, label=f"com.docker.compose.project={ME}"))
    stays = [
        made("longshore-test-stays", label=f"longshore.stack={OTHER}"),
        made("longshore-test-stays-too", "--network", OTHER, label=RUN),
    ]
    assert len(there(f"label={label}")) == 5
    done = stack(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stopping 4 run(s)" in done.stdout
    assert there(f"label={label}") == there(f"network={ME}") == there(f"label=com.docker.compose.project={ME}") == []
    assert docker_says("network", "ls", "--quiet", "--filter", f"name={ME}") == ""
    assert sorted(there(f"label=longshore.stack={OTHER}") + there(f"network={OTHER}")) == sorted(stays)


def test_clean_names_the_volumes_and_removes_them(networks: tuple[str, str]) -> None:
    names = [f"{ME}_{name}" for name in ("postgres", "prefect-db", "cloud")]
    for name in names:
        docker_says("volume", "create", "--label", f"com.docker.compose.project={ME}", name)
    done = stack("clean", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", ".join(names) in done.stdout
    assert docker_says("volume", "ls", "--quiet", "--filter", f"name={ME}_") == ""


def test_ports_that_our_own_stack_holds_are_no_fault(networks: tuple[str, str]) -> None:
    one, two = free_port(), free_port()
    publish = [f"--publish=127.0.0.1:{port}:80" for port in (one, two)]
    made("longshore-test-map", *publish, "--network", ME, label=f"com.docker.compose.project={ME}")
    assert own_ports(ME) == {one, two}
    env = {**{name: str(free_port()) for name in ("PREFECT_PORT", "POSTGRES_PORT")}, "MAP_PORT": str(one)}
    need_ports({**env, "COMPOSE_PROFILES": "", "COMPOSE_PROJECT_NAME": ME})
    with pytest.raises(UserError, match=rf"MAP_PORT={one}, by the container longshore-test-map"):
        need_ports({**env, "COMPOSE_PROFILES": "", "COMPOSE_PROJECT_NAME": OTHER})
