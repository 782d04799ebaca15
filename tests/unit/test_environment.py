"""What differs between environments: one small file over the settings and the deployments."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from scripts import environment
from scripts.deployments import build, chosen, deployments, image_of
from scripts.environment import CHANGES, FOLDER, OUTPUTS, read_environment, read_images, read_outputs
from scripts.settings import ROOT, UserError, read_env
from workpools.job import Cron, Every
from workpools.pools import POOLS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of environments of the test's own; no setting comes from outside."""
    for name in {*read_env(ROOT / ".env.example"), "TOKEN_URI", "WAREHOUSE_PORT"}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(environment, "FOLDER", tmp_path)
    return tmp_path


def of_text(folder: Path, text: str) -> environment.Environment:
    (folder / "here.toml").write_text(text)
    return read_environment("here")


def test_a_file_wins_over_terraform_and_the_environment_over_the_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = tmp_path / "outputs.json"
    known = {"project": "theirs", "region": "europe-west2", "bucket": "their-bucket", "vpc_connector": None}
    outputs.write_text(json.dumps({name: {"value": value, "sensitive": False} for name, value in known.items()}))
    made = of_text(folder, f'outputs = "{outputs}"\n[settings]\nGCS_BUCKET = "mine"\nSTORAGE_EMULATOR_HOST = ""')
    assert read_env(ROOT / ".env.example")["STORAGE_EMULATOR_HOST"]
    found = made.settings()
    assert (found["GCP_PROJECT"], found["GCP_REGION"], found["VPC_CONNECTOR"]) == ("theirs", "europe-west2", "")
    assert (found["GCS_BUCKET"], found["STORAGE_EMULATOR_HOST"]) == ("mine", "")
    monkeypatch.setenv("GCS_BUCKET", "told")
    assert made.settings()["GCS_BUCKET"] == "told"


def test_a_setting_can_name_another(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCS_PORT", "19023")
    made = of_text(folder, '[settings]\nSTORAGE_EMULATOR_HOST = "http://127.0.0.1:${GCS_PORT}"')
    assert made.settings()["STORAGE_EMULATOR_HOST"] == "http://127.0.0.1:19023"
    with pytest.raises(UserError, match=r"here.toml: no setting 'NO_SUCH'"):
        of_text(folder, '[settings]\nGCS_BUCKET = "${NO_SUCH}"').settings()


def test_deployments_are_changed_in_what_the_file_says_and_nothing_else(folder: Path) -> None:
    text = """
        [deployments."web-to-postgres/monthly"]
        schedule = "30 6 2 * *"
        parameters = {color = "green"}
        memory_mib = 2048
        [deployments."web-to-gcs/monthly"]
        schedule = false
        [deployments."gcs-to-bigquery/monthly"]
        timezone = "Europe/London"
        [deployments."backfill/backfill"]
        schedule = 3600
    """
    jobs = deployments()
    before, after = ({job.path: job for job in some} for some in (jobs, of_text(folder, text).changed(jobs)))
    postgres = after["web-to-postgres/monthly"]
    assert postgres.schedule == Cron("30 6 2 * *", "America/New_York")
    assert (postgres.parameters, postgres.memory_mib) == ({"color": "green"}, 2048)
    assert after["web-to-gcs/monthly"].schedule is None
    assert after["gcs-to-bigquery/monthly"].schedule == Cron("0 7 1 * *", "Europe/London")
    assert after["backfill/backfill"].schedule == Every(3600)
    assert after["etl-parent-flow/monthly"] == before["etl-parent-flow/monthly"]
    assert list(after) == list(before)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[deployments."web-to-nowhere/monthly"]', r"no deployment 'web-to-nowhere/monthly'; there are: backfill"),
        ('[deployments."web-to-gcs/monthly"]\nmemory = 1', "memory cannot be changed; what can: schedule"),
        ('[deployments."web-to-gcs/monthly"]\nmemory_mib = "1G"', 'memory_mib = "1G" is not a whole number'),
        ('[deployments."web-to-gcs/monthly"]\nmemory_mib = -1', "memory_mib = -1 is not a whole number"),
        (
            '[deployments."web-to-gcs/monthly"]\nschedule = true',
            "is not a text or a whole number or false",
        ),
        ('[deployments."web-to-gcs/monthly"]\nschedule = "0 5 32 * *"', "schedule '0 5 32 . .', timezone"),
        ('[deployments."web-to-gcs/monthly"]\nschedule = 0', "schedule 0"),
        ('[deployments."web-to-gcs/monthly"]\ntimezone = "Mars/Base"', "timezone 'Mars/Base'"),
        ('[deployments."backfill/backfill"]\ntimezone = "UTC"', "backfill/backfill: schedule ''"),
        ("[settings]\nGCS_PORT = 1", "setting GCS_PORT must be a text in quotes, not 1"),
        ("[setting]", "'setting' is not one of: outputs, settings, deployments"),
        ("outputs = 1", "'outputs' is not"),
        ("[settings", "here.toml: "),
    ],
)
def test_a_mistake_is_named_with_its_place(folder: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        of_text(folder, text).changed(deployments())
    assert "here.toml: " in str(raised.value)


def test_an_environment_that_is_not_there_names_those_that_are(folder: Path) -> None:
    of_text(folder, "")
    with pytest.raises(UserError, match=r"ENVIRONMENT=prod: no .*prod.toml; there are: here"):
        read_environment("prod")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_the_environments_under_git_are_in_order(path: Path, folder: Path) -> None:
    found = of_text(folder, path.read_text())
    assert found.changed(deployments()) == deployments()
    known = {*read_env(ROOT / ".env.example"), "TOKEN_URI", "WAREHOUSE_PORT"}
    assert {*found.own} <= known
    # The examples in the comments work too.
    example = re.sub(rf"^# (\[deployments\.|({'|'.join(CHANGES)}) = )", r"\1", path.read_text(), flags=re.M)
    of_text(folder, example).changed(deployments())


def test_each_pool_has_its_environment() -> None:
    assert {pool.ENVIRONMENT for pool in POOLS.values()} <= {path.stem for path in FOLDER.glob("*.toml")}
    assert {*OUTPUTS} <= {*read_env(ROOT / ".env.example")}


def test_what_terraform_never_printed_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "outputs.json"
    assert read_outputs(wrong) == {}
    for text in ("not json", '{"project": "plain"}', "[]"):
        wrong.write_text(text)
        with pytest.raises(UserError, match="make outputs"):
            read_outputs(wrong)


def test_images_are_those_that_were_pushed_or_those_of_this_machine(tmp_path: Path) -> None:
    env = {"TAG": "0123456789ab", "IMAGE_PREFIX": "longshore", "IMAGES_FILE": ""}
    job = deployments()[0]
    assert read_images(env) == ("0123456789ab", {})
    assert image_of(job, env, {}) == f"longshore/{job.job}:0123456789ab"
    file = tmp_path / "pushed.json"
    env["IMAGES_FILE"] = str(file)
    with pytest.raises(UserError, match="`make push` writes it"):
        read_images(env)
    file.write_text(json.dumps({"revision": "ba9876543210", "registry": "r", "images": {"other": "r/other@sha256:1"}}))
    revision, images = read_images(env)
    assert revision == "ba9876543210"
    with pytest.raises(UserError, match=f"no image of {job.job}. Push it: make push"):
        image_of(job, env, images)
    file.write_text("{}")
    with pytest.raises(UserError, match="make push"):
        read_images(env)


def test_a_deployment_is_scheduled_where_it_has_what_it_needs() -> None:
    (job,) = chosen(deployments(), "master-flow")
    cloud = {"GCP_PROJECT": "mine", "GCP_REGION": "europe-west2", "JOB_SERVICE_ACCOUNT": "jobs@mine"}
    for key in ("", "k3y"):
        env = {**cloud, "BODS_API_KEY": key}
        made = asyncio.run(build(job, POOLS["cloud-run"], env, "registry/mine/late-buses", "0123456789ab"))
        assert len(made.schedules) == bool(key)
        assert "k3y" not in str(made.dict())


def test_deployments_are_chosen_by_job_flow_or_name() -> None:
    jobs = deployments()
    assert chosen(jobs, "") == jobs
    assert [job.path for job in chosen(jobs, "etl-parent")] == ["etl-parent-flow/monthly", "backfill/backfill"]
    assert [job.path for job in chosen(jobs, "backfill")] == ["backfill/backfill"]
    assert [job.path for job in chosen(jobs, "web-to-gcs/monthly")] == ["web-to-gcs/monthly"]
    with pytest.raises(UserError, match=r"JOB=typo: no such job. There are: backfill/backfill"):
        chosen(jobs, "typo")
