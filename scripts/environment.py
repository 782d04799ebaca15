"""What differs between environments: environments/NAME.toml, over .env and under the variables of the environment.

outputs = "terraform/outputs.json"        # settings that Terraform knows
[settings]                                # any of .env.example; ${NAME} is another setting
GCS_BUCKET = "my-bucket"
[deployments."web-to-postgres/monthly"]   # of a job's deployment.py
schedule = "0 6 1 * *"                    # 30: every 30 s; false: none
parameters = {dataset = "green"}
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from string import Template
from typing import Any

from scripts.settings import ROOT, UserError, settings
from workpools.job import Cron, Every, JobDeployment, Schedule

FOLDER = ROOT / "environments"
# setting -> output of terraform/
OUTPUTS = {
    "GCP_PROJECT": "project",
    "GCP_REGION": "region",
    "GCS_BUCKET": "bucket",
    "REGISTRY": "registry",
    "JOB_SERVICE_ACCOUNT": "job_service_account",
    "VPC_CONNECTOR": "vpc_connector",
    "PREFECT_PROFILE_SECRET": "prefect_profile_secret",
}
# what may be changed of a deployment, and what it must be
CHANGES: dict[str, tuple[type, ...]] = {
    "schedule": (str, int, bool),
    "timezone": (str,),
    "parameters": (dict,),
    "memory_mib": (int,),
    "cpu": (int,),
    "timeout_seconds": (int,),
    "max_retries": (int,),
    "concurrency": (int,),
}


@dataclass(frozen=True)
class Environment:
    """An environment file. outputs: path from the root, empty for none. deployments: changes by flow/deployment."""

    name: str
    outputs: str
    own: Mapping[str, str]
    deployments: Mapping[str, Mapping[str, Any]]

    def settings(self) -> dict[str, str]:
        """Every setting by name, as it is here."""
        over = {**(read_outputs(ROOT / self.outputs) if self.outputs else {}), **self.own}
        base = settings(over)
        try:
            return settings({name: Template(value).substitute(base) for name, value in over.items()})
        except (KeyError, ValueError) as error:
            raise UserError(f"{self.file}: no setting {error} for a ${{NAME}}") from error

    @property
    def file(self) -> str:
        """Its path from the root, for messages."""
        return f"{FOLDER.name}/{self.name}.toml"

    def changed(self, jobs: list[JobDeployment]) -> list[JobDeployment]:
        """The deployments as they are here. UserError: a change that fits none, or none of its fields."""
        known = {job.path: job for job in jobs}
        for path in self.deployments:
            if path not in known:
                raise UserError(f"{self.file}: no deployment {path!r}; there are: {', '.join(sorted(known))}")
        return [self._changed(job, self.deployments.get(job.path, {})) for job in jobs]

    def _changed(self, job: JobDeployment, changes: Mapping[str, Any]) -> JobDeployment:
        for name, value in changes.items():
            where = f"{self.file}: {job.path}: {name}"
            if name not in CHANGES:
                raise UserError(f"{where} cannot be changed; what can: {', '.join(CHANGES)}")
            if type(value) not in CHANGES[name] or value is True or (type(value) is int and value < 0):
                raise UserError(f"{where} = {json.dumps(value)} is not {' or '.join(_said(CHANGES[name]))}")
        given = {name: value for name, value in changes.items() if name not in ("schedule", "timezone")}
        schedule = job.schedule
        if {"schedule", "timezone"} & set(changes):
            schedule = changed_schedule(schedule, changes, f"{self.file}: {job.path}")
        parameters = {**job.parameters, **given.pop("parameters", {})}
        return replace(job, schedule=schedule, parameters=parameters, **given)


def _said(types: tuple[type, ...]) -> list[str]:
    words = {str: "a text", bool: "false", dict: "a table", int: "a whole number"}
    return [words[one] for one in types]


def changed_schedule(before: Schedule | None, changes: Mapping[str, Any], where: str) -> Schedule | None:
    """The schedule as these changes make it. UserError where Prefect would not take it."""
    from scripts.schedules import as_prefect  # slow: only where there is something to check

    wanted = changes.get("schedule", before.cron if isinstance(before, Cron) else "")
    if wanted is False:
        return None
    zone = changes.get("timezone") or (before.timezone if isinstance(before, Cron) else "UTC")
    schedule = Every(wanted) if type(wanted) is int else Cron(wanted, zone)
    try:
        as_prefect(schedule)
    except ValueError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"{where}: schedule {wanted!r}, timezone {zone!r}: {reason}") from error
    return schedule


def read_environment(name: str) -> Environment:
    """environments/NAME.toml. UserError: no such file, or not what one holds."""
    path = FOLDER / f"{name}.toml"
    where = f"{FOLDER.name}/{name}.toml"
    try:
        found = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        there = ", ".join(sorted(file.stem for file in FOLDER.glob("*.toml")))
        raise UserError(f"ENVIRONMENT={name}: no {where}; there are: {there}") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where}: {error}") from error
    known = {"outputs": str, "settings": dict, "deployments": dict}
    for key, value in found.items():
        if key not in known or not isinstance(value, known[key]):
            raise UserError(f"{where}: {key!r} is not one of: {', '.join(known)}")
    own = found.get("settings", {})
    for key, value in own.items():
        if not isinstance(value, str):
            raise UserError(f"{where}: setting {key} must be a text in quotes, not {json.dumps(value)}")
    return Environment(name, found.get("outputs", ""), own, found.get("deployments", {}))


def read_outputs(path: Path) -> dict[str, str]:
    """Settings out of `terraform output -json`; none where the file is not there."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text())
        values = {output: str(held["value"] or "") for output, held in found.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: not what `terraform output -json` prints. Make it anew: make outputs") from error
    return {name: values[output] for name, output in OUTPUTS.items() if output in values}


def read_images(env: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Revision, and image by job, of what was pushed; of this machine's images where IMAGES_FILE is empty."""
    if not env.get("IMAGES_FILE"):
        return env["TAG"], {}
    path = ROOT / env["IMAGES_FILE"]
    try:
        found = json.loads(path.read_text())
        return str(found["revision"]), dict(found["images"])
    except FileNotFoundError as error:
        raise UserError(f"IMAGES_FILE={env['IMAGES_FILE']}: not there. `make push` writes it.") from error
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: not what `make push` writes. Make it anew: make push") from error


assert {*CHANGES} - {"timezone"} <= {field.name for field in fields(JobDeployment)}
