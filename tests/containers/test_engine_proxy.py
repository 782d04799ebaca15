"""The proxy before the real Docker engine: a worker's way of running a job goes through, and nothing else does."""

import concurrent.futures
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker.errors
import psutil
import pytest
from docker.models.containers import Container

import docker
from control.labels import RUN, STACK
from control.policy import Policy
from scripts.base_images import BOOTSTRAPPED
from scripts.docker import docker_says, image_exists
from scripts.settings import ROOT, settings
from standins.google.servers import free_port
from tests.containers.runs import wait_for
from tests.unit.job_containers import FORBIDDEN, RUN_ID, changed, container_settings, job_body

STACK_NAME = f"proxy-{secrets.token_hex(4)}"
JOB = 'import time\nprint("begun", flush=True)\ntime.sleep({seconds})\nprint("done")\nraise SystemExit(3)\n'
API = "/v1.41"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Images under a prefix of this test: a job of three seconds and one of an hour; and one that is not ours."""
    names = {"quick": f"{STACK_NAME}/quick:t", "long": f"{STACK_NAME}/long:t", "foreign": f"foreign-{STACK_NAME}/x:t"}
    bootstrapped = BOOTSTRAPPED["BASE_IMAGE"][0]
    base = bootstrapped if image_exists(bootstrapped) else settings()["BASE_IMAGE"]
    for name, seconds in (("quick", 3), ("long", 3600), ("foreign", 3600)):
        folder = tmp_path_factory.mktemp(name)
        (folder / "engine.py").write_text(JOB.format(seconds=seconds))
        (folder / "Dockerfile").write_text(
            f"FROM {base}\nRUN ln -sf $(command -v python3.11) /usr/bin/python\nENV PYTHONPATH=/code\n"
            "COPY engine.py /code/longshore/flows/engine.py\nRUN chmod -R a+rX /code\n"
        )
        subprocess.run(["docker", "build", "--quiet", "--tag", names[name], str(folder)], check=True)
    yield names
    subprocess.run(["docker", "rmi", "--force", *names.values()], check=True)


@pytest.fixture(scope="module")
def networks() -> Iterator[list[str]]:
    """Two networks of jobs, and one that no job may be on."""
    names = [f"{STACK_NAME}-api", f"{STACK_NAME}-web", f"{STACK_NAME}-records"]
    for name in names:
        subprocess.run(["docker", "network", "create", "--internal", name], check=True, stdout=subprocess.DEVNULL)
    yield names
    subprocess.run(["docker", "network", "rm", *names], check=True, stdout=subprocess.DEVNULL)


ENV = {"NETWORK": STACK_NAME, "IMAGE_PREFIX": STACK_NAME, "REGISTRY": f"localhost:1/{STACK_NAME}", "JOB_CA_FILE": ""}
POLICY = Policy.from_env(ENV)


def start_proxy(tmp: Path, **env: str) -> tuple[subprocess.Popen[bytes], int]:
    """`python -m control.engine`, and its port."""
    port = free_port()
    command = [sys.executable, "-m", "control.engine", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp / "proxy.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **ENV, **env}, stderr=log)

    def listens() -> bool:
        with socket.socket() as asked:
            return asked.connect_ex(("127.0.0.1", port)) == 0

    wait_for(listens, 120)
    return process, port


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the proxy says."""
    return tmp_path_factory.mktemp("proxy") / "proxy.log"


@pytest.fixture(scope="module")
def running(log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A proxy before the real engine."""
    process, port = start_proxy(log.parent)
    yield process, port
    process.terminate()
    process.wait(60)


@pytest.fixture(scope="module")
def proxy(running: tuple[subprocess.Popen[bytes], int]) -> int:
    """Its port."""
    return running[1]


@pytest.fixture(scope="module")
def client(proxy: int) -> Iterator[docker.DockerClient]:
    """docker-py as the worker has it."""
    found = docker.DockerClient(base_url=f"tcp://127.0.0.1:{proxy}", timeout=120)
    yield found
    found.close()


@pytest.fixture(scope="module")
def mine(client: docker.DockerClient, images: dict[str, str], networks: list[str]) -> Iterator[Container]:
    """A running job of this stack."""
    made = client.containers.create(**container_settings(POLICY, images["long"], "mine"))
    made.start()
    yield made
    subprocess.run(["docker", "rm", "--force", made.id], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def foreign(images: dict[str, str], networks: list[str]) -> Iterator[dict[str, str]]:
    """Containers that are not jobs of this stack: by their ids."""
    labels = {
        "plain": [],
        "other stack": [f"{STACK}=other", f"{RUN}={RUN_ID}"],
        "no run": [f"{STACK}={STACK_NAME}"],
    }
    ids = {}
    for name, given in labels.items():
        options = [f"--label={label}" for label in given]
        command = [images["foreign"], "python", "-m", "longshore.flows.engine"]
        ids[name] = docker_says("run", "--detach", "--network", networks[2], *options, *command)
    yield ids
    subprocess.run(["docker", "rm", "--force", *ids.values()], check=True, stdout=subprocess.DEVNULL)


def ask(port: int, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """One request, its path sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    content = body if isinstance(body, str | bytes) or body is None else json.dumps(body)
    connection.request(method, path, content, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    connection.close()
    return answer.status, text


def everything() -> list[str]:
    """Ids of every container that has to do with this test."""
    ours = docker_says("ps", "-aq", "--no-trunc", "--filter", f"label={STACK}={STACK_NAME}").split()
    named = docker_says("ps", "-aq", "--no-trunc", "--filter", "name=evil").split()
    return sorted({*ours, *named})


def test_a_job_goes_through_from_its_making_to_its_removal(
    client: docker.DockerClient, images: dict[str, str], networks: list[str]
) -> None:
    assert client.ping()
    assert client.version()["ApiVersion"]
    assert client.images.get(images["quick"]).tags == [images["quick"]]
    container = client.containers.create(**container_settings(POLICY, images["quick"], "goes-through"))
    try:
        assert container.name == f"{STACK_NAME}-run-goes-through"
        client.networks.get(networks[1]).connect(container)
        container.start()
        pieces = [(time.monotonic(), piece) for piece in container.logs(stream=True, follow=True)]
        assert b"".join(piece for _, piece in pieces) == b"begun\ndone\n"
        assert pieces[0][0] < pieces[-1][0]  # as it came, not at the end
        assert container.wait()["StatusCode"] == 3
        container.reload()
        assert sorted(container.attrs["NetworkSettings"]["Networks"]) == sorted(networks[:2])
        assert container.attrs["Config"]["User"] == "10001:10001"
        assert container.attrs["HostConfig"]["ReadonlyRootfs"] is True
    finally:
        container.remove(v=True)
    with pytest.raises(docker.errors.NotFound):
        container.reload()


def test_a_job_is_stopped_killed_unpaused_and_removed_by_force(
    client: docker.DockerClient, images: dict[str, str], networks: list[str]
) -> None:
    container = client.containers.create(**container_settings(POLICY, images["long"], "stopped"))
    container.start()
    subprocess.run(["docker", "pause", container.id], check=True, stdout=subprocess.DEVNULL)
    container.unpause()
    container.stop(timeout=1)
    container.start()
    container.kill(signal="SIGKILL")
    assert container.wait()["StatusCode"] == 137
    container.start()
    container.remove(force=True, v=True)
    assert docker_says("ps", "-aq", "--filter", f"id={container.id}") == ""


def test_a_name_that_is_taken_is_told_as_docker_tells_it(
    client: docker.DockerClient, images: dict[str, str], mine: Container
) -> None:
    """Prefect's worker looks for these words, and takes another name."""
    with pytest.raises(docker.errors.APIError, match=r"Conflict.*container name"):
        client.containers.create(**container_settings(POLICY, images["long"], "mine"))


@pytest.mark.parametrize("attempt", [*FORBIDDEN, "root's name", "an alias of a service"])
def test_a_container_that_no_job_needs_is_refused_and_not_made(
    attempt: str, proxy: int, images: dict[str, str], networks: list[str], log: Path
) -> None:
    before = everything()
    body = job_body(POLICY, images["long"])
    path = f"{API}/containers/create?name=evil"
    if attempt == "root's name":
        path += "%2f..%2fx"
    elif attempt == "an alias of a service":
        body = changed(body, "NetworkingConfig", {networks[0]: {"Aliases": ["prefect"]}})
    else:
        body = changed(body, *FORBIDDEN[attempt])
    status, text = ask(proxy, "POST", path, body)
    assert status == 403, text
    assert json.loads(text)["message"].startswith("Longshore's engine proxy refuses POST")
    assert everything() == before
    assert "refused POST" in log.read_text()


def test_a_field_that_is_given_twice_counts_once(proxy: int, images: dict[str, str], networks: list[str]) -> None:
    """The engine's reader takes both: what was privileged in the first would stay so."""
    text = json.dumps(job_body(POLICY, images["long"]))
    assert text.startswith("{")
    status, said = ask(
        proxy, "POST", f"{API}/containers/create", '{"HostConfig": {"Privileged": true, "PidMode": "host"}, ' + text[1:]
    )
    assert status == 201, said
    made = json.loads(said)["Id"]
    host = json.loads(docker_says("inspect", made))[0]["HostConfig"]
    subprocess.run(["docker", "rm", made], check=True, stdout=subprocess.DEVNULL)
    assert host["Privileged"] is False
    assert host["PidMode"] == ""


OF_A_CONTAINER = [
    ("GET", "/json", None),
    ("GET", "/logs?stdout=1", None),
    ("POST", "/start", None),
    ("POST", "/stop?t=1", None),
    ("POST", "/kill", None),
    ("POST", "/wait", None),
    ("POST", "/unpause", None),
    ("DELETE", "?force=1", None),
]
NEVER = [
    ("POST", "/exec", {"Cmd": ["id"], "AttachStdout": True}),
    ("POST", "/attach?stream=1&stdin=1", None),
    ("GET", "/attach/ws", None),
    ("GET", "/archive?path=/", None),
    ("PUT", "/archive?path=/", "x"),
    ("HEAD", "/archive?path=/", None),
    ("POST", "/copy", {"Resource": "/etc"}),
    ("GET", "/export", None),
    ("GET", "/changes", None),
    ("POST", "/update", {"Memory": 0}),
    ("POST", "/rename?name=postgres", None),
    ("POST", "/pause", None),
    ("POST", "/restart", None),
    ("POST", "/resize?h=1&w=1", None),
    ("POST", "/start?detachKeys=a", None),
    ("PUT", "/json", None),
]


@pytest.mark.parametrize("whose", ["plain", "other stack", "no run"])
@pytest.mark.parametrize(("method", "rest", "body"), [*OF_A_CONTAINER, *NEVER])
def test_a_container_that_is_not_ours_is_left_alone(
    whose: str, method: str, rest: str, body: Any, proxy: int, foreign: dict[str, str]
) -> None:
    status, text = ask(proxy, method, f"{API}/containers/{foreign[whose]}{rest}", body)
    assert status == 403, text
    assert docker_says("inspect", "--format", "{{.State.Status}}", foreign[whose]) == "running"


@pytest.mark.parametrize(("method", "rest", "body"), NEVER)
def test_not_everything_may_be_done_to_a_job(method: str, rest: str, body: Any, proxy: int, mine: Container) -> None:
    status, text = ask(proxy, method, f"{API}/containers/{mine.id}{rest}", body)
    assert status == 403, text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/build?t=evil:t", "x"),
        ("POST", "/commit?container={mine}&repo=evil", {}),
        ("DELETE", "/images/{image}", None),
        ("POST", "/images/{image}/tag?repo=evil&tag=t", None),
        ("POST", "/images/{image}/push", None),
        ("GET", "/images/{image}/get", None),
        ("GET", "/images/json", None),
        ("GET", "/images/{foreign_image}/json", None),
        ("POST", "/images/load", "x"),
        ("POST", "/images/create?fromSrc=-&repo={image}", "x"),
        ("POST", "/images/create?fromImage={image}", None),
        ("POST", "/images/create?fromImage=evil/x&tag=t", None),
        ("POST", "/images/create?fromImage=localhost:1/" + STACK_NAME + "-evil/x&tag=t", None),
        ("POST", "/images/prune", None),
        ("POST", "/containers/prune", None),
        ("GET", "/volumes", None),
        ("POST", "/volumes/create", {"Name": "evil"}),
        ("DELETE", "/volumes/evil", None),
        ("GET", "/networks", None),
        ("POST", "/networks/create", {"Name": "evil"}),
        ("GET", "/networks/{records}", None),
        ("GET", "/networks/bridge", None),
        ("DELETE", "/networks/{api}", None),
        ("POST", "/networks/{api}/disconnect", {"Container": "{mine}"}),
        ("POST", "/networks/{records}/connect", {"Container": "{mine}"}),
        ("POST", "/networks/{api}/connect", {"Container": "{foreign}"}),
        ("POST", "/networks/{web}/connect", {"Container": "{mine}", "EndpointConfig": {"Aliases": ["postgres"]}}),
        ("POST", "/swarm/init", {}),
        ("GET", "/swarm", None),
        ("GET", "/nodes", None),
        ("POST", "/services/create", {}),
        ("GET", "/secrets", None),
        ("GET", "/plugins", None),
        ("POST", "/plugins/pull?remote=evil", []),
        ("GET", "/info", None),
        ("GET", "/events", None),
        ("GET", "/system/df", None),
        ("POST", "/auth", {}),
        ("POST", "/session", None),
        ("POST", "/exec/x/start", {}),
        ("GET", "/containers/../images/json", None),
        ("GET", "/containers/{mine}/../../images/json", None),
        ("GET", "/containers/%2e%2e/images/json", None),
        ("GET", "/containers/{mine}%2fjson", None),
        ("GET", "//containers/json", None),
        ("GET", '/containers/json?filters={"network":["bridge"]}', None),
        ("GET", "/containers/json?filters=[]", None),
        ("PATCH", "/containers/json", None),
    ],
)
def test_what_a_worker_has_no_need_of_is_refused(
    method: str, path: str, body: Any, proxy: int, mine: Container, foreign: dict[str, str], images: dict[str, str]
) -> None:
    words = {"mine": mine.id, "foreign": foreign["plain"], "image": images["long"], "foreign_image": images["foreign"]}
    words |= {name: f"{STACK_NAME}-{name}" for name in ("api", "web", "records")}

    def filled(text: str) -> str:
        for word, value in words.items():
            text = text.replace("{" + word + "}", value)
        return text

    for prefix in (API, ""):
        sent = body if body is None else filled(body if isinstance(body, str) else json.dumps(body))
        status, text = ask(proxy, method, prefix + filled(path), sent)
        assert status == 403, text
        assert json.loads(text)["message"].startswith("Longshore's engine proxy refuses")
    assert docker_says("inspect", "--format", "{{.State.Status}}", mine.id) == "running"


def test_the_list_shows_the_runs_of_this_stack_alone(
    client: docker.DockerClient, mine: Container, foreign: dict[str, str]
) -> None:
    assert [found.id for found in client.containers.list(all=True)] == [mine.id]
    assert [found.id for found in client.containers.list(filters={"label": f"{STACK}={STACK_NAME}"})] == [mine.id]
    assert client.containers.list(all=True, filters={"label": f"{STACK}=other"}) == []


def test_an_image_of_the_registry_is_asked_for_and_no_other(client: docker.DockerClient) -> None:
    """No registry listens there, which is the engine's answer, not the proxy's."""
    for tag in ("t", "sha256:" + "a" * 64):
        with pytest.raises(docker.errors.APIError) as refused:
            client.images.pull(f"localhost:1/{STACK_NAME}/x", tag)
        assert refused.value.status_code in (404, 500)
        assert "connection refused" in str(refused.value)


def test_what_the_engine_does_not_know_is_told_as_the_engine_tells_it(client: docker.DockerClient) -> None:
    with pytest.raises(docker.errors.NotFound, match="No such container"):
        client.containers.get("not-there")
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(f"{STACK_NAME}/not-there:t")


def test_many_waits_at_once_hold_up_nobody_and_are_let_go_when_their_callers_hang_up(
    client: docker.DockerClient, running: tuple[subprocess.Popen[bytes], int], mine: Container
) -> None:
    """A hundred jobs are two hundred requests that take as long as the jobs."""
    process, port = running

    def to_the_engine() -> int:
        return len(psutil.Process(process.pid).net_connections("unix"))

    before = to_the_engine()
    waiting = []
    for _ in range(150):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("POST", f"{API}/containers/{mine.id}/wait")
        answer = connection.getresponse()
        assert answer.status == 200
        waiting.append((connection, answer))
    assert to_the_engine() >= before + 150
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: client.ping(), range(20))) == [True] * 20
    for connection, answer in waiting:
        answer.close()
        connection.close()
    wait_for(lambda: to_the_engine() <= before, 120)


def test_a_stop_of_the_proxy_does_not_wait_for_the_logs_that_are_followed(tmp_path: Path, mine: Container) -> None:
    process, port = start_proxy(tmp_path)
    with socket.create_connection(("127.0.0.1", port)) as following:
        following.sendall(f"GET /containers/{mine.id}/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert b" 200 " in following.recv(100)
        process.terminate()
        process.wait(120)
        following.settimeout(120)
        while following.recv(1000):
            pass


def test_an_answer_that_the_engine_breaks_off_does_not_look_whole(tmp_path: Path) -> None:
    """The exit of a job that nobody saw must not be taken for a good one."""
    engine = socket.socket(socket.AF_UNIX)
    engine.bind(str(tmp_path / "docker.sock"))
    engine.listen()
    process, port = start_proxy(tmp_path, DOCKER_SOCKET_PATH=str(tmp_path / "docker.sock"))
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("GET", "/version")
        asked, _ = engine.accept()
        asked.recv(1000)
        asked.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n")
        answer = connection.getresponse()
        assert answer.read1(5) == b"begun"
        asked.close()
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
    finally:
        process.terminate()
        process.wait(60)
        engine.close()


def test_an_engine_that_is_away_is_told_in_plain_words(tmp_path: Path) -> None:
    process, port = start_proxy(tmp_path, DOCKER_SOCKET_PATH=str(tmp_path / "docker.sock"))
    try:
        status, text = ask(port, "GET", "/_ping")
    finally:
        process.terminate()
        process.wait(60)
    assert status == 502
    assert f"no answer from the Docker engine at {tmp_path}/docker.sock" in json.loads(text)["message"]


def test_a_worker_that_hangs_is_restarted_and_no_other_service(tmp_path: Path, images: dict[str, str]) -> None:
    """A process that is frozen: its check no longer answers, and a stop is not heard either."""
    project = f"watched-{STACK_NAME}"
    check = ["--health-cmd", "test ! -e /dev/shm/sick", "--health-interval", "1s", "--health-retries", "1"]
    ids = {}
    for name, service in (("worker", "worker"), ("map", "map"), ("healthy", "worker")):
        labels = [f"--label=com.docker.compose.project={project}", f"--label=com.docker.compose.service={service}"]
        command = [images["foreign"], "python", "-m", "longshore.flows.engine"]
        ids[name] = docker_says("run", "--detach", "--network=none", *labels, *check, *command)
    process = None

    def says(name: str, what: str) -> str:
        return docker_says("inspect", "--format", f"{{{{.State.{what}}}}}", ids[name])

    try:
        started = {name: says(name, "StartedAt") for name in ids}
        for name in ("worker", "map"):
            subprocess.run(["docker", "exec", ids[name], "touch", "/dev/shm/sick"], check=True)
        wait_for(lambda: says("worker", "Health.Status") == says("map", "Health.Status") == "unhealthy", 120)
        subprocess.run(["docker", "kill", "--signal=STOP", ids["worker"]], check=True, stdout=subprocess.DEVNULL)
        process, _ = start_proxy(tmp_path, COMPOSE_PROJECT_NAME=project)
        wait_for(lambda: says("worker", "StartedAt") != started["worker"], 180)
        assert says("map", "StartedAt") == started["map"]
        assert says("healthy", "StartedAt") == started["healthy"]
        assert "is unhealthy" in (tmp_path / "proxy.log").read_text()
    finally:
        if process:
            process.terminate()
            process.wait(60)
        subprocess.run(["docker", "rm", "--force", *ids.values()], check=True, stdout=subprocess.DEVNULL)
