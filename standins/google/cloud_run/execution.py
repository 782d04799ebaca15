"""One execution of a job: its container in local Docker, under the limits that the job names."""

import io
import os
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from uuid import uuid4

from scripts.docker import docker_says
from standins.google.cloud_run.task import Task

GRACE = 10  # seconds between SIGTERM and SIGKILL
LABEL = "longshore-cloud-run-execution"
Secrets = Mapping[str, bytes]


def now() -> str:
    """The time as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class Execution:
    """state: running, succeeded, failed or cancelled. containers: ids of all attempts. log: what they printed."""

    name: str
    job: str
    task: Task
    image: str  # of the local engine
    network: str
    secrets: Secrets
    uid: str = field(default_factory=lambda: str(uuid4()))
    state: str = "running"
    message: str = ""
    created: str = field(default_factory=now)
    completed: str = ""
    retried: int = 0
    log: str = ""
    containers: list[str] = field(default_factory=list)
    on_end: Callable[[], None] = lambda: None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Run it in the background."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Stop it for good, as SIGTERM and then SIGKILL do; returns when it has ended."""
        self._stopping.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        try:
            state, message = self._attempts()
        except Exception as error:  # of the stand-in: a test must see it, not wait for ever
            state, message = "failed", f"Internal error of the stand-in: {error}"
        self.message, self.completed = message, now()
        self.state = state
        self.on_end()

    def _attempts(self) -> tuple[str, str]:
        for attempt in range(self.task.max_retries + 1):
            self.retried = int(attempt > 0)
            code, why = self._attempt(attempt)
            if self._stopping.is_set():
                return "cancelled", "Cancelled by user."
            if code == 0 and not why:
                return "succeeded", "Execution completed successfully."
            why = why or "The container exited with an error."
        return "failed", f"Task {self.name}-task0 failed with message: {why}"

    def _attempt(self, attempt: int) -> tuple[int, str]:
        """Exit code, and why it had to be stopped."""
        container = self._create(attempt)
        self.containers.append(container)
        try:
            self._put_files(container)
            docker_says("start", container)
            why = self._wait(container)
            if why or self._stopping.is_set():
                docker_says("stop", "--time", str(GRACE), container)
            code = docker_says("inspect", "--format", "{{.State.ExitCode}}", container)
            logs = subprocess.run(["docker", "logs", container], capture_output=True, text=True)
            self.log += logs.stdout + logs.stderr
            return int(code or 137), why  # it may have been removed by force
        finally:
            docker_says("rm", "--force", "--volumes", container)

    def _wait(self, container: str) -> str:
        """Wait for the end, the time limit or a cancel; why it must be stopped."""
        deadline = time.monotonic() + self.task.timeout
        while not self._stopping.wait(0.2):
            if docker_says("inspect", "--format", "{{.State.Running}}", container) != "true":
                return ""
            if time.monotonic() > deadline:
                return "The configured timeout was reached."
        return ""

    def _create(self, attempt: int) -> str:
        task = self.task
        secret_env = {name: self.secrets[secret].decode() for name, (secret, _) in task.secret_env.items()}
        told = {"JOB": self.job, "EXECUTION": self.name, "TASK_INDEX": "0", "TASK_COUNT": "1", "TASK_ATTEMPT": attempt}
        env = {**task.env, **secret_env, **{f"CLOUD_RUN_{name}": str(value) for name, value in told.items()}}
        options = ["--name", f"{self.name}-{attempt}", "--network", self.network, "--label", f"{LABEL}={self.name}"]
        options += ["--memory", str(task.memory), "--memory-swap", str(task.memory), "--cpus", str(self._cpus())]
        options += [part for name in env for part in ("--env", name)]  # the values are not on the command line
        if task.command:
            options += ["--entrypoint", task.command[0]]
        command = ["docker", "create", *options, self.image, *task.command[1:], *task.args]
        made = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True)
        if made.returncode:
            raise RuntimeError(made.stderr)
        return made.stdout.strip()

    def _cpus(self) -> float:
        """No engine gives more than it has."""
        return min(self.task.cpu, int(docker_says("info", "--format", "{{.NCPU}}")))

    def _put_files(self, container: str) -> None:
        """Secrets as files that all may read, as Cloud Run mounts them."""
        if not self.task.files:
            return
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for file in self.task.files:
                path = PurePosixPath(file.path.lstrip("/"))
                for folder in [*path.parents][-2::-1]:
                    made = tarfile.TarInfo(str(folder))
                    made.type, made.mode = tarfile.DIRTYPE, 0o755
                    tar.addfile(made)
                content = self.secrets[file.secret]
                made = tarfile.TarInfo(str(path))
                made.size, made.mode = len(content), 0o444
                tar.addfile(made, io.BytesIO(content))
        subprocess.run(["docker", "cp", "-", f"{container}:/"], input=packed.getvalue(), check=True)
