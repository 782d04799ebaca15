"""Who can reach whom on the stack: every cell of the table in docs/security.md, tried from inside."""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import count

import pytest

from scripts.deployments import deployments
from scripts.docker import docker, docker_says
from scripts.settings import ROOT
from scripts.stack import container
from tests.containers.conftest import inspect
from tests.containers.runs import PROJECT
from workpools import docker as pool

PORTS = {
    "prefect": 4200,
    "postgres": 5432,
    "prefect-db": 5432,
    "gcs": 9023,
    "bigquery": 9050,
    "engine": 2375,
    "worker": 8080,
    "map": 8501,
    "sources": 8000,
    "internet": 80,
}
INTERNET = "203.0.113.1"  # kept for documentation: nobody's
PAUSE = ["python", "-c", "import time; time.sleep(3600)"]
# All at once, by what every image has. Who is refused has been reached: the worker listens on no port.
BASH = """
for place in "$@"; do
  {
    said=$(timeout 4 bash -c "exec 3<>/dev/tcp/${place/:/\\/}" 2>&1) || [[ $said == *refused* ]] && echo "$place"
  } &
done
wait
"""
_names = count(1)


def table() -> dict[tuple[str, str], bool]:
    """The cells of the table."""
    lines = [line for line in (ROOT / "docs/security.md").read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    start = next(number for number, row in enumerate(rows) if row[0].startswith("from"))
    head, body = rows[start], [row for row in rows[start + 2 :] if len(row) == len(rows[start])]
    assert {cell for row in body for cell in row[1:]} == {"yes", "-"}
    return {(row[0], to): cell == "yes" for row in body for to, cell in zip(head[1:], row[1:], strict=True)}


CELLS = table()
ROWS = list(dict.fromkeys(row for row, _ in CELLS))


@pytest.fixture(scope="module")
def internet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A host that this machine routes to, and that knows the way back to this machine alone: as the internet does."""
    name, here = "longshore-net", "203.0.113.2"
    ip = ["ip", "netns", "exec", name]
    empty = tmp_path_factory.mktemp("empty")
    try:
        for command in (
            ["ip", "netns", "add", name],
            ["ip", "link", "add", "ls-here", "type", "veth", "peer", "name", "ls-there", "netns", name],
            ["ip", "addr", "add", f"{here}/24", "dev", "ls-here"],
            ["ip", "link", "set", "ls-here", "up"],
            [*ip, "ip", "addr", "add", f"{INTERNET}/24", "dev", "ls-there"],
            [*ip, "ip", "link", "set", "ls-there", "up"],
        ):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"no network of our own can be made here (needs root): {done.stderr.strip()}")
        with subprocess.Popen(
            [*ip, sys.executable, "-m", "http.server", "80"], cwd=empty, stderr=subprocess.DEVNULL
        ) as web:
            yield INTERNET
            web.terminate()
    finally:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@pytest.fixture(scope="module")
def addresses(stack: dict[str, str], internet: str) -> dict[str, list[str]]:
    """Every address of every target, whatever network it is on."""
    found = {"internet": [f"{internet}:{PORTS['internet']}"]}
    for service in set(PORTS) - {"internet"}:
        networks = inspect(container(stack, service))["NetworkSettings"]["Networks"].values()
        found[service] = [f"{one['IPAddress']}:{PORTS[service]}" for one in networks]
    return found


def job(env: dict[str, str], images: dict[str, str], name: str) -> str:
    """A container of a job, on the networks of its deployments."""
    made = {"WAREHOUSE_HOST": "postgres", "PREFECT_API_URL": "", **env}
    one = next(one for one in deployments() if name in (one.job, one.flow) and (one.job == name or one.flow == name))
    networks = pool.networks(one, made)
    locked = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=10001:10001"]
    called = f"{PROJECT}-reach-{next(_names)}"
    docker("create", "--name", called, "--network", networks[0], *locked, images[one.job], *PAUSE, quiet=True)
    for network in networks[1:]:
        docker("network", "connect", network, called)
    docker("start", called, quiet=True)
    return called


def reached(inside: str, places: list[str]) -> set[str]:
    """Which of these HOST:PORT a container can open a connection to."""
    said = docker_says("exec", inside, "bash", "-c", BASH, "bash", *places)
    return set(said.split())


@pytest.mark.parametrize("row", ROWS)
def test_each_reaches_what_the_table_says_and_nothing_else(
    row: str, stack: dict[str, str], images: dict[str, str], addresses: dict[str, list[str]]
) -> None:
    ours = row.startswith("job ")
    inside = job(stack, images, row.removeprefix("job ")) if ours else container(stack, row)
    try:
        found = reached(inside, [place for places in addresses.values() for place in places])
    finally:
        if ours:
            docker_says("rm", "--force", inside)
    seen = {to: bool(found & set(places)) for to, places in addresses.items()}
    wanted = {to: said for (name, to), said in CELLS.items() if name == row}
    assert {to: seen[to] for to in wanted} == wanted


def test_no_service_is_missing_from_the_table(stack: dict[str, str]) -> None:
    labels = docker_says("ps", "-q", "--filter", f"label=com.docker.compose.project={PROJECT}").split()
    services = {inspect(one)["Config"]["Labels"]["com.docker.compose.service"] for one in labels}
    assert services - {"buses"} == set(ROWS) - {row for row in ROWS if row.startswith("job ")}
    assert {f"job {one.job}" for one in deployments()} | {"job backfill"} == {
        row for row in ROWS if row.startswith("job ")
    }


def test_the_docker_socket_is_in_the_proxy_alone(stack: dict[str, str]) -> None:
    holders = set()
    for one in docker_says("ps", "-q", "--filter", f"label=com.docker.compose.project={PROJECT}").split():
        found = inspect(one)
        if "docker.sock" in json.dumps(found["Mounts"]):
            holders.add(found["Config"]["Labels"]["com.docker.compose.service"])
    assert holders == {"engine"}
