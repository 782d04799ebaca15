"""`make deploy` and `make deploy-diff` on a real Prefect server: what the code says is what is there."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import WorkQueue
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed

from scripts import deploy, deployments
from scripts.deploy import pool_and_environment
from scripts.deploy_diff import diff
from scripts.environment import FOLDER
from scripts.settings import UserError
from tests.integration.prefect_server import api, bare_server

DIGEST = "@sha256:" + 64 * "b"
CLOUD = {
    "GCP_PROJECT": "mine",
    "GCP_REGION": "europe-west2",
    "GCS_BUCKET": "my-bucket",
    "JOB_SERVICE_ACCOUNT": "jobs@mine.iam.gserviceaccount.com",
    "WAREHOUSE_PASSWORD": "s3cret!",
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bare_server(tmp_path_factory.mktemp("deploy")) as url:
        yield url


class Site:
    """The scripts, as a person calls them, with what they printed."""

    def __init__(self, env: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
        self.env, self.capsys = env, capsys

    def deploy(self, pool: str, job: str = "", prune: bool = False) -> str:
        made, environment = pool_and_environment(pool)
        asyncio.run(deploy.deploy(made, environment, {**environment.settings(), **self.env}, job, prune))
        return self.capsys.readouterr().out

    def diff(self, pool: str, job: str = "") -> list[str]:
        made, environment = pool_and_environment(pool)
        return asyncio.run(diff(made, environment, {**environment.settings(), **self.env}, job))


@pytest.fixture
def site(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Site:
    pushed = tmp_path / "pushed.json"
    names = ", ".join(f'"{job.job}": "registry/mine/{job.job}{DIGEST}"' for job in deployments.deployments())
    pushed.write_text(f'{{"revision": "0123456789ab", "registry": "registry/mine", "images": {{{names}}}}}')
    monkeypatch.delenv("ENVIRONMENT", raising=False)
    monkeypatch.setenv("PREFECT_API_URL", url)
    return Site({"PREFECT_API_URL": url, "TAG": "0123456789ab", **CLOUD, "IMAGES_FILE": str(pushed)}, capsys)


@pytest.mark.parametrize("pool", ["docker", "cloud-run", "cloud-run-v2", "process"])
def test_after_a_deploy_nothing_would_change(site: Site, pool: str) -> None:
    said = site.deploy(pool)
    assert site.diff(pool) == []
    assert "s3cret" not in said
    for job in deployments.deployments():
        there = api("read_deployment_by_name", job.path)
        assert (there.work_pool_name, there.version) == (pool, "0123456789ab")
        assert there.pull_steps is None
        assert there.storage_document_id is None
        assert (there.path, there.entrypoint) == (pool_and_environment(pool)[0].FLOWS, job.entrypoint)
        if pool != "process":
            assert there.job_variables["image"] == f"registry/mine/{job.job}{DIGEST}"
            assert f"deployment {job.path}: registry/mine/{job.job}{DIGEST}" in said
        queue: WorkQueue = api("read_work_queue_by_name", there.work_queue_name, pool)
        assert queue.concurrency_limit == job.concurrency


def test_the_diff_names_what_would_change_and_no_secret(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.deploy("docker")
    site.env |= {"TAG": "ba9876543210", "IMAGES_FILE": "", "WAREHOUSE_PASSWORD": "0ther-s3cret", "GCS_BUCKET": "new"}
    text = "\n".join(site.diff("docker", "web-to-postgres"))
    assert "~ block postgres-connector: connection_info" in text
    assert "~ block zoom-gcs: bucket" in text
    assert "    version: 0123456789ab -> ba9876543210" in text
    assert f"job_variables.image: registry/mine/web-to-postgres{DIGEST} -> longshore/web-to-postgres:ba987" in text
    assert "s3cret" not in text
    assert "web-to-gcs" not in text
    site.env["WAREHOUSE_PASSWORD"] = CLOUD["WAREHOUSE_PASSWORD"]
    assert "postgres-connector" not in "\n".join(site.diff("docker"))
    # The diff itself changed nothing.
    assert api("read_deployment_by_name", "web-to-postgres/monthly").version == "0123456789ab"


def test_a_deployment_moves_to_another_pool_and_the_others_stay(site: Site) -> None:
    site.deploy("docker")
    moved = "\n".join(site.diff("cloud-run-v2", "web-to-gcs"))
    assert "    work_pool_name: docker -> cloud-run-v2" in moved
    said = site.deploy("cloud-run-v2", "web-to-gcs")
    assert re.findall(r"^deployment (\S+):", said, re.M) == ["web-to-gcs/monthly"]
    assert api("read_deployment_by_name", "web-to-gcs/monthly").work_pool_name == "cloud-run-v2"
    assert api("read_deployment_by_name", "web-to-postgres/monthly").work_pool_name == "docker"


def test_an_environment_changes_parameters_schedules_and_limits(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (FOLDER / "cloud.toml").read_text()
    text += '\n[deployments."web-to-postgres/monthly"]\nschedule = "0 6 2 * *"\nmemory_mib = 2048\nconcurrency = 3\n'
    (tmp_path / "cloud.toml").write_text(text + 'parameters = {color = "green"}\n')
    monkeypatch.setattr("scripts.environment.FOLDER", tmp_path)
    site.deploy("cloud-run", "web-to-postgres")
    there = api("read_deployment_by_name", "web-to-postgres/monthly")
    assert [(one.schedule.cron, one.schedule.timezone) for one in there.schedules] == [
        ("0 6 2 * *", "America/New_York")
    ]
    assert (there.parameters, there.job_variables["memory"]) == ({"color": "green"}, "2048Mi")
    assert api("read_work_queue_by_name", there.work_queue_name, "cloud-run").concurrency_limit == 3
    (tmp_path / "cloud.toml").write_text('[deployments."web-to-postgres/monthly"]\nparameters = {datset = "green"}\n')
    with pytest.raises(
        UserError, match=r"web-to-postgres/monthly: the flow has no parameter 'datset'; there are: .*color"
    ):
        site.deploy("cloud-run")


def test_a_removed_job_is_named_and_deleted_only_when_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def there() -> set[str]:
        flows = {flow.id: flow.name for flow in api("read_flows")}
        return {f"{flows[one.flow_id]}/{one.name}" for one in api("read_deployments")}

    site.deploy("docker")
    kept = [job for job in deployments.deployments() if job.job != "web-to-gcs"]
    run = api("create_flow_run_from_deployment", api("read_deployment_by_name", "web-to-gcs/monthly").id).id
    api("set_flow_run_state", run, Completed(), force=True)
    assert api("read_flow_run", run).state.is_completed()
    for module in (deploy, deployments):
        monkeypatch.setattr(module, "deployments", lambda: kept)
    assert "- deployment web-to-gcs/monthly: no longer in the code (PRUNE=1)" in site.diff("docker")
    assert "deployment web-to-gcs/monthly: no longer in the code, PRUNE=1 deletes it" in site.deploy("docker")
    assert "web-to-gcs/monthly" in there()
    assert "deployment web-to-gcs/monthly: no longer in the code, deleted" in site.deploy("docker", prune=True)
    assert "web-to-gcs/monthly" not in there()
    assert {job.path for job in kept} <= there()
    with pytest.raises(ObjectNotFound):
        api("read_work_queue_by_name", "web-to-gcs", "docker")
    assert api("read_flow_run", run).state.is_completed()  # what was run stays on record
    assert site.diff("docker") == []


def test_deployments_of_others_are_left_alone(site: Site) -> None:
    site.deploy("docker")
    mine = api("read_deployment_by_name", "web-to-gcs/monthly")
    foreign: Any = api("create_deployment", mine.flow_id, "somebody-elses", tags=["theirs"])
    said = site.deploy("docker", prune=True)
    assert "somebody-elses" not in said
    assert api("read_deployment", foreign).name == "somebody-elses"


def test_a_wrong_call_changes_nothing_and_says_what_there_is(site: Site) -> None:
    with pytest.raises(UserError, match="POOL=kubernetes: there are docker, cloud-run, cloud-run-v2, process"):
        site.deploy("kubernetes")
    site.deploy("docker")
    del site.env["JOB_SERVICE_ACCOUNT"]
    with pytest.raises(UserError, match="pool cloud-run needs JOB_SERVICE_ACCOUNT"):
        site.deploy("cloud-run")
    site.env |= {"JOB_SERVICE_ACCOUNT": "x", "IMAGES_FILE": "no/such.json"}
    with pytest.raises(UserError, match="`make push` writes it"):
        site.deploy("cloud-run")
    assert api("read_deployment_by_name", "web-to-gcs/monthly").work_pool_name == "docker"
