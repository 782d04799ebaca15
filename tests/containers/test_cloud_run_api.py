"""The stand-in of Cloud Run answers as the service does, asked by Google's own client."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import httplib2
import pytest
from google.api_core.client_options import ClientOptions
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient import discovery
from googleapiclient.errors import HttpError

from standins.google.cloud_run.server import HERE, Front, cloud_run
from standins.google.cloud_run.service import CloudRun, Fault
from tests.containers.cloud_run import logs
from tests.containers.conftest import inspect
from tests.containers.runs import wait_for

IMAGE = f"us-central1-docker.pkg.dev/local/longshore/job@sha256:{'0' * 64}"
PARENT = f"projects/local/locations/{HERE}"
WAIT = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit("got 15"))
print("up", flush=True)
time.sleep(99)
"""
SOMEBODY = Credentials("local")
READ = "print(open('/secrets/a/file.txt').read())"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def front(images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    run = CloudRun("local", "bridge", {IMAGE: images["sources"]}, {"known": b"from the secret"})
    with cloud_run(run, tmp_path_factory.mktemp("run")) as served:
        yield served


@pytest.fixture
def api(front: Front) -> Callable[[str, Any], Any]:
    """Google's client of a version."""
    front.run.faults.clear()

    def build(version: str, credentials: Any = SOMEBODY) -> Any:
        http = httplib2.Http(ca_certs=str(front.ca))
        http = AuthorizedHttp(credentials, http) if credentials else http
        made = discovery.build("run", version, client_options=ClientOptions(api_endpoint=front.url), http=http)
        return made.namespaces() if version == "v1" else made.projects().locations()

    return build


@pytest.fixture
def v1(api: Any) -> Any:
    return api("v1")


@pytest.fixture
def v2(api: Any) -> Any:
    return api("v2")


def task(code: str, **more: Any) -> dict[str, Any]:
    limits = {"cpu": "1000m", "memory": "512Mi"}
    container = {"image": IMAGE, "command": ["python", "-c", code], "resources": {"limits": limits}}
    return {"containers": [container], "maxRetries": 0, **more}


def body_v1(name: str, code: str = "", **more: Any) -> dict[str, Any]:
    spec = {"template": {"spec": {"template": {"spec": task(code, **more)}}}}
    return {"apiVersion": "run.googleapis.com/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def task_v1(body: dict[str, Any]) -> Any:
    return body["spec"]["template"]["spec"]["template"]["spec"]


def refusal(request: Any) -> tuple[int, str]:
    with pytest.raises(HttpError) as caught:
        request.execute()
    return caught.value.status_code, json.loads(caught.value.content)["error"]["message"]


def run_v1(v1: Any, name: str, code: str, **more: Any) -> str:
    """Make a job and run it; the execution's name."""
    v1.jobs().create(parent="namespaces/local", body=body_v1(name, code, **more)).execute()
    for _ in range(2):
        v1.jobs().get(name=f"namespaces/local/jobs/{name}").execute()
    return str(v1.jobs().run(name=f"namespaces/local/jobs/{name}").execute()["metadata"]["name"])


def status_v1(v1: Any, execution: str) -> Any:
    return v1.executions().get(name=f"namespaces/local/executions/{execution}").execute()["status"]


def ended_v1(v1: Any, execution: str) -> tuple[dict[str, Any], Any]:
    """Status, and the condition Completed, of an execution that is over."""
    wait_for(lambda: "completionTime" in status_v1(v1, execution))
    status = status_v1(v1, execution)
    return status, next(one for one in status["conditions"] if one["type"] == "Completed")


REFUSED: dict[str, tuple[Change, str]] = {
    "unknown field": (lambda t: t.update(timeout="600s"), 'Unknown name "timeout"'),
    "wrong type": (lambda t: t.update(containers={}), "Invalid value at 'spec.template.spec.template.spec.containers'"),
    "image of no registry": (lambda t: t["containers"][0].update(image="longshore/job:1"), "Expected an image path"),
    "another registry": (lambda t: t["containers"][0].update(image="ghcr.io/a/job:1"), "Expected an image path"),
    "memory too small": (lambda t: t["containers"][0]["resources"]["limits"].update(memory="256Mi"), "512Mi"),
    "memory too large for the CPU": (
        lambda t: t["containers"][0]["resources"]["limits"].update(memory="8Gi"),
        "4096Mi",
    ),
    "half a CPU": (lambda t: t["containers"][0]["resources"]["limits"].update(cpu="500m"), "for cpu: 0.5"),
    "longer than a week": (lambda t: t.update(timeoutSeconds="604801"), "604800"),
    "too many retries": (lambda t: t.update(maxRetries=11), "maxRetries"),
    "no account": (lambda t: t.update(serviceAccountName="somebody@example.com"), "service account"),
    "reserved name": (
        lambda t: t["containers"][0].update(env=[{"name": "CLOUD_RUN_JOB", "value": ""}]),
        "reserved env names",
    ),
    "null in a map": (lambda t: t["containers"][0]["resources"]["limits"].update(cpu=None), "null unexpected"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_what_cloud_run_refuses(v1: Any, front: Front, case: str) -> None:
    change, message = REFUSED[case]
    body = copy.deepcopy(body_v1("refused"))
    change(task_v1(body))
    status, said = refusal(v1.jobs().create(parent="namespaces/local", body=body))
    assert status == 400
    assert message in said
    assert not list(front.run.listed("v1", HERE))


def test_the_second_version_refuses_too(v2: Any) -> None:
    for timeout, message in (("10m", "not a duration"), ("604801s", "604800")):
        body = {"template": {"template": task("", timeout=timeout)}}
        status, said = refusal(v2.jobs().create(parent=PARENT, jobId="refused", body=body))
        assert status == 400
        assert message in said
    status, said = refusal(
        v2.jobs().create(parent=PARENT, jobId="Not_A_Name", body={"template": {"template": task("")}})
    )
    assert status == 400
    assert "lowercase" in said


def test_who_may_not_gets_nothing(api: Any) -> None:
    nobody = api("v1", None)
    assert refusal(nobody.jobs().list(parent="namespaces/local"))[0] == 401
    assert refusal(api("v1").jobs().list(parent="namespaces/somebody-elses"))[0] == 403


def test_a_permission_that_is_missing_is_named(front: Front, v1: Any, v2: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "may", frozenset({"run.jobs.list"}))
    v1.jobs().list(parent="namespaces/local").execute()
    for request in (
        v1.jobs().run(name="namespaces/local/jobs/any"),
        v2.jobs().run(name=f"{PARENT}/jobs/any"),
    ):
        status, said = refusal(request)
        assert (status, "'run.jobs.run' denied" in said) == (403, True)


def test_what_is_missing_or_there_already_is_said(v1: Any, v2: Any) -> None:
    status, said = refusal(v1.jobs().get(name="namespaces/local/jobs/nothing"))
    assert (status, "does not exist" in said) == (404, True)
    assert refusal(v2.jobs().executions().get(name=f"{PARENT}/jobs/a/executions/a-b"))[0] == 404
    v1.jobs().create(parent="namespaces/local", body=body_v1("twice")).execute()
    assert refusal(v1.jobs().create(parent="namespaces/local", body=body_v1("twice")))[0] == 409
    v1.jobs().delete(name="namespaces/local/jobs/twice").execute()
    assert refusal(v1.jobs().delete(name="namespaces/local/jobs/twice"))[0] == 404


def test_a_job_is_ready_only_after_a_while(v1: Any) -> None:
    v1.jobs().create(parent="namespaces/local", body=body_v1("slow")).execute()
    assert refusal(v1.jobs().run(name="namespaces/local/jobs/slow"))[0] == 400
    ready = [v1.jobs().get(name="namespaces/local/jobs/slow").execute()["status"]["conditions"][0] for _ in range(2)]
    assert [one["status"] for one in ready] == ["Unknown", "True"]
    v1.jobs().delete(name="namespaces/local/jobs/slow").execute()


def test_a_job_without_image_or_secret_never_gets_ready(v2: Any) -> None:
    secret = {"secret": {"secret": "unknown", "items": [{"path": "a", "version": "latest"}]}}
    broken = {
        "CONTAINER_MISSING": task(""),
        "SECRETS_ACCESS_CHECK_FAILED": task("", volumes=[{"name": "v", **secret}]),
    }
    broken["CONTAINER_MISSING"]["containers"][0]["image"] = IMAGE.replace("0", "1")
    broken["SECRETS_ACCESS_CHECK_FAILED"]["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/secrets"}]
    for reason, one in broken.items():
        v2.jobs().create(parent=PARENT, jobId="broken", body={"template": {"template": one}}).execute()
        job = [v2.jobs().get(name=f"{PARENT}/jobs/broken").execute() for _ in range(2)][-1]
        assert job["terminalCondition"]["state"] == "CONDITION_FAILED"
        assert job["terminalCondition"]["reason"] == reason
        v2.jobs().delete(name=f"{PARENT}/jobs/broken").execute()


def test_runs_the_image_under_its_limits(v1: Any, front: Front) -> None:
    execution = run_v1(v1, "limits", WAIT)
    found = front.run.history[-1]
    wait_for(lambda: found.containers)
    container = inspect(found.containers[0])
    assert container["HostConfig"]["Memory"] == container["HostConfig"]["MemorySwap"] == 512 * 2**20
    assert container["HostConfig"]["NanoCpus"] == 10**9
    assert f"CLOUD_RUN_EXECUTION={execution}" in container["Config"]["Env"]
    v1.jobs().delete(name="namespaces/local/jobs/limits").execute()
    assert refusal(v1.executions().get(name=f"namespaces/local/executions/{execution}"))[0] == 404
    wait_for(lambda: found.state == "cancelled")


def test_cancel_asks_the_container_to_end(v1: Any, front: Front) -> None:
    execution = run_v1(v1, "cancel", WAIT)
    wait_for(lambda: front.run.history[-1].containers)
    container = front.run.history[-1].containers[0]
    wait_for(lambda: "up" in logs(container))
    v1.executions().cancel(name=f"namespaces/local/executions/{execution}").execute()
    status, completed = ended_v1(v1, execution)
    assert status["cancelledCount"] == 1
    assert completed["reason"] == "Cancelled"
    assert "got 15" in front.run.history[-1].log
    assert refusal(v1.executions().cancel(name=f"namespaces/local/executions/{execution}"))[0] == 400


def test_a_failure_is_retried_as_often_as_told(v1: Any, front: Front) -> None:
    execution = run_v1(v1, "retry", "import sys; sys.exit(3)", maxRetries=1)
    status, completed = ended_v1(v1, execution)
    assert (status["failedCount"], status["retriedCount"], completed["status"]) == (1, 1, "False")
    assert completed["message"] == f"Task {execution}-task0 failed with message: The container exited with an error."
    assert len(front.run.history[-1].containers) == 2


def test_the_time_limit_ends_it(v1: Any, front: Front) -> None:
    _, completed = ended_v1(v1, run_v1(v1, "timeout", WAIT, timeoutSeconds="3"))
    assert "The configured timeout was reached." in completed["message"]
    assert "got 15" in front.run.history[-1].log


def test_a_secret_is_a_file_that_the_job_can_read(v2: Any, front: Front) -> None:
    secret = {"secret": "known", "items": [{"path": "file.txt", "version": "latest"}]}
    one = task(READ, volumes=[{"name": "v", "secret": secret}])
    one["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/secrets/a"}]
    created = v2.jobs().create(parent=PARENT, jobId="secret", body={"template": {"template": one}}).execute()
    assert not created["done"]
    for _ in range(2):
        v2.jobs().get(name=f"{PARENT}/jobs/secret").execute()
    operation = v2.jobs().run(name=f"{PARENT}/jobs/secret").execute()
    wait_for(lambda: v2.operations().get(name=operation["name"]).execute()["done"])
    execution = v2.jobs().executions().get(name=operation["metadata"]["name"]).execute()
    assert execution["succeededCount"] == 1, execution
    assert front.run.history[-1].log == "from the secret\n"


def test_faults_are_injected_and_requests_recorded(v1: Any, front: Front) -> None:
    front.run.faults += [Fault("jobs.create", 503, lost=True), Fault("jobs.get", 429, skip=1)]
    assert refusal(v1.jobs().create(parent="namespaces/local", body=body_v1("lost")))[0] == 503
    v1.jobs().get(name="namespaces/local/jobs/lost").execute()  # it is there all the same
    assert refusal(v1.jobs().get(name="namespaces/local/jobs/lost"))[0] == 429
    v1.jobs().get(name="namespaces/local/jobs/lost").execute()
    assert [one.status for one in front.asked("jobs.get")[-3:]] == [200, 429, 200]
    assert front.asked("jobs.create")[-1].body["metadata"]["name"] == "lost"
