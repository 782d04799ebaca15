"""Jobs and executions, as both versions of the API see them."""

import random
import string
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from scripts.docker import docker_says
from standins.google.cloud_run.errors import ApiError, not_found
from standins.google.cloud_run.execution import Execution, Secrets, now
from standins.google.cloud_run.task import Task, check_name

Json = dict[str, Any]
PROJECT_NUMBER = "123456789012"  # which answers name a project by


@dataclass
class Job:
    """body: as it was sent. problem: reason and message, when it can never run. looks: how often it was asked for."""

    version: str
    region: str
    name: str
    body: Json
    task: Task
    problem: tuple[str, str] | None
    uid: str = field(default_factory=lambda: str(uuid4()))
    created: str = field(default_factory=now)
    looks: int = 0
    count: int = 0
    executions: dict[str, Execution] = field(default_factory=dict)

    @property
    def pending(self) -> bool:
        """A new job becomes ready, or not, a moment after it was made: who asks once sees it in the making."""
        return self.looks < 2

    @property
    def latest(self) -> Execution | None:
        """The execution begun last."""
        return next(reversed(self.executions.values()), None)


@dataclass
class Fault:
    """What happens to the next `times` requests of a method (the end of its id, such as jobs.run): `status`.

    skip: requests that pass before. lost: the request is done, and only its answer lost.
    """

    method: str
    status: int
    times: int = 1
    skip: int = 0
    lost: bool = False


@dataclass
class CloudRun:
    """One project. images: reference -> image of the local engine. secrets: name -> bytes.

    history: every execution there was. operations: name -> what it says now.
    """

    project: str
    network: str
    images: Mapping[str, str]
    secrets: Secrets = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    history: list[Execution] = field(default_factory=list)
    operations: dict[str, Callable[[], Json]] = field(default_factory=dict)
    jobs: dict[tuple[str, str, str], Job] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def check_project(self, project: str, method: str) -> None:
        """Refuse other people's projects."""
        if project not in (self.project, PROJECT_NUMBER):
            permission = "run." + ".".join(method.split(".")[-2:])
            denied = f"Permission '{permission}' denied on resource 'projects/{project}' (or resource may not exist)."
            raise ApiError(403, denied)

    def create(self, version: str, region: str, name: str, body: Json, task: Task) -> Job:
        """A new job, not yet ready."""
        check_name(name)
        if (version, region, name) in self.jobs:
            raise ApiError(409, f"Resource '{name}' already exists.")
        job = Job(version, region, name, body, task, self._problem(task))
        self.jobs[version, region, name] = job
        return job

    def job(self, version: str, region: str, name: str) -> Job:
        """The job, or 404."""
        try:
            return self.jobs[version, region, name]
        except KeyError:
            raise not_found("JOB", name, region, self.project) from None

    def run(self, job: Job) -> Execution:
        """Begin an execution."""
        if job.pending or job.problem:
            raise ApiError(400, f"Job '{job.name}' is not ready to be executed.", "FAILED_PRECONDITION")
        name = f"{job.name}-{''.join(random.choices(string.ascii_lowercase + string.digits, k=5))}"
        found = Execution(name, job.name, job.task, self.images[job.task.image], self.network, self.secrets)
        job.executions[name] = found
        job.count += 1
        self.history.append(found)
        found.start()
        return found

    def execution(self, version: str, region: str, name: str) -> tuple[Job, Execution]:
        """The execution with its job, or 404."""
        for job in self.listed(version, region):
            if name in job.executions:
                return job, job.executions[name]
        raise not_found("EXECUTION", name, region, self.project)

    def cancel(self, execution: Execution) -> None:
        """Stop it; the answer does not wait for that."""
        if execution.state != "running":
            said = f"Execution '{execution.name}' cannot be cancelled because it is not running."
            raise ApiError(400, said, "FAILED_PRECONDITION")
        self._stop(execution)

    def delete_execution(self, job: Job, execution: Execution) -> None:
        """Forget it; it is stopped where it runs."""
        del job.executions[execution.name]
        self._stop(execution)

    def delete(self, job: Job) -> None:
        """Forget a job and its executions; those that run are stopped."""
        del self.jobs[job.version, job.region, job.name]
        for execution in job.executions.values():
            self._stop(execution)

    def listed(self, version: str, region: str) -> Iterator[Job]:
        """The jobs of a region."""
        yield from [job for job in self.jobs.values() if (job.version, job.region) == (version, region)]

    def close(self) -> None:
        """Stop everything, and wait for it."""
        for execution in self.history:
            execution.cancel()

    def _stop(self, execution: Execution) -> None:
        threading.Thread(target=execution.cancel).start()

    def _problem(self, task: Task) -> tuple[str, str] | None:
        local = self.images.get(task.image)
        if not local or not docker_says("image", "inspect", "--format", "{{.Id}}", local):
            return "ContainerMissing", f"Image '{task.image}' not found."
        named = {file.secret for file in task.files} | {secret for secret, _ in task.secret_env.values()}
        if missing := sorted(named - set(self.secrets)):
            path = f"projects/{PROJECT_NUMBER}/secrets/{missing[0]}/versions/latest"
            return "SecretsAccessCheckFailed", f"Permission denied on secret: {path}, or it does not exist."
        return None
