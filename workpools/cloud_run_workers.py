"""Cloud Run workers that bear with a service that is busy or away for a moment.

Prefect's own give a run up when one request fails: 429 or 503 at its start makes it Crashed, and while it runs nobody
watches it any more. These ask again, without ever starting a job twice. They also end a run whose job can't be made
or is gone, which Prefect's own wait for, and look after runs and jobs that nobody watches (workpools/careful.py).
"""

import asyncio
import logging
import re
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httplib2
from google.api_core.client_options import ClientOptions
from google.api_core.retry import Retry
from google.auth.exceptions import TransportError
from googleapiclient import discovery
from googleapiclient.errors import HttpError
from googleapiclient.http import HttpRequest
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect_gcp.cloud_run import Execution
from prefect_gcp.cloud_run import Job as Job1
from prefect_gcp.models.cloud_run_v2 import ExecutionV2, JobV2
from prefect_gcp.workers.cloud_run import CloudRunWorker, CloudRunWorkerJobConfiguration
from prefect_gcp.workers.cloud_run_v2 import CloudRunWorkerJobV2Configuration, CloudRunWorkerV2

from workpools import run_states
from workpools.careful import Careful
from workpools.reconcile import Deadlines, Job, Phase

RETRYABLE = {429, 500, 502, 503, 504}
MINUTES = 10  # for which a request is repeated
POLL = 2  # seconds between looks at a new job
AT_START, LATER = timedelta(days=1), timedelta(hours=2)  # since when a run was due whose job may be left
BEGINS_WITHIN = timedelta(minutes=10)  # from a job's making to its execution
GONE = "The job or its execution is gone from Cloud Run: it was cancelled or deleted."
log = logging.getLogger("prefect.workers.cloud-run")
warnings.filterwarnings("ignore", "Type '.*' at .* matches existing registered type")  # that is what we want


def is_retryable_error(error: Exception) -> bool:
    """Whether asking again may help."""
    if isinstance(error, HttpError):
        return error.status_code in RETRYABLE
    return isinstance(error, OSError | httplib2.HttpLib2Error | TransportError)


def say(error: Exception) -> None:
    log.warning("Cloud Run: %s. Asking again.", error)


retrying = Retry(predicate=is_retryable_error, initial=1, maximum=30, multiplier=2, timeout=MINUTES * 60, on_error=say)


class RetryingRequest(HttpRequest):  # type: ignore[misc]
    """A request that is repeated until it is answered. All can be but `run`, which would start a second execution."""

    def execute(self, http: Any = None, num_retries: int = 0) -> Any:
        if self.methodId.endswith(".run"):
            return super().execute(http=http)
        ask, asked = super().execute, 0

        def once() -> Any:
            nonlocal asked
            asked += 1
            try:
                return ask(http=http)
            except HttpError as error:
                # The answer to an earlier attempt was lost, or somebody else was faster.
                done = (error.status_code == 409 and asked > 1) or (
                    error.status_code == 404 and self.method == "DELETE"
                )
                if not done:
                    raise
                return {}

        return retrying(once)()


def begin(run: Callable[[], Any], begun: Callable[[], Any]) -> Any:
    """Run a job. Where the answer was lost the execution may have begun: `begun` finds it, or None."""

    def once() -> Any:
        try:
            return run()
        except Exception as error:
            if is_retryable_error(error) and (found := begun()):
                return found
            raise

    return retrying(once)()


def client(version: str, endpoint: str, configuration: Any) -> Any:
    """The API, whose calls are tried again."""
    return discovery.build(
        "run",
        version,
        client_options=ClientOptions(api_endpoint=endpoint),
        credentials=configuration.credentials.get_credentials_from_service_account(),
        requestBuilder=RetryingRequest,
    )


class CarefulCloudRun(Careful):
    """What both versions have in common. A job's id is its name; it is deleted with its execution."""

    what = "Cloud Run job"
    # An image may come from far to a machine that is new.
    usual = Deadlines(start=600)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._configurations: dict[str, Any] = {}  # by job
        self._back = AT_START
        self._deleted: set[UUID] = set()  # ended runs whose jobs are gone
        self._said: dict[str, str] = {}  # why an execution failed, by job
        self._begun: dict[str, str] = {}  # run -> job, of those that this worker watches

    def place(self) -> str:
        """One for all workers: what one sees of a job all see."""
        return "cloud-run"

    def place_of(self, pid: str) -> str | None:
        return self.place()

    async def find_jobs(self, runs: Sequence[FlowRun]) -> list[Job]:
        """By their names: no worker may list a project's jobs. With those that ended runs have left behind."""
        after = datetime.now(UTC) - self._back
        ended = await run_states.read_ended(self._client, self._work_pool_name, after)
        self._deleted &= {run.id for run in ended}
        found = []
        for run in [*runs, *(run for run in ended if run.id not in self._deleted)]:
            if not (name := run.infrastructure_pid or self._begun.get(str(run.id))):
                continue
            try:
                made = await self._get_configuration(run)
            except ObjectNotFound:  # its deployment is gone, and with it where its jobs are
                continue
            self._configurations[name] = made
            try:
                found.append(await asyncio.to_thread(self._find_job, str(run.id), name, made))
            except HttpError as error:
                if error.status_code != 404:
                    raise
                if run_states.phase(run) is Phase.ENDED:
                    self._deleted.add(run.id)
        self._back = LATER
        return found

    async def remove_job(self, job: str) -> None:
        await asyncio.to_thread(self._delete_job, job, self._configurations[job])

    async def run(self, flow_run: FlowRun, configuration: Any, task_status: Any = None) -> Any:
        self._begun[str(flow_run.id)] = configuration.job_name
        try:
            result = await super().run(flow_run, configuration, task_status)
        finally:
            del self._begun[str(flow_run.id)]
        if said := self._said.pop(configuration.job_name, ""):
            self._ends[str(flow_run.id)] = f"The {self.what} ended before the run did: {said}", is_retryable(said)
        return result

    def _find_job(self, run: str, name: str, configuration: Any) -> Job:
        raise NotImplementedError

    def _delete_job(self, name: str, configuration: Any) -> None:
        raise NotImplementedError


def is_retryable(said: str) -> bool:
    """Whether another try may help an execution that ended so."""
    return not re.search("timeout|memory|cancel", said, re.IGNORECASE)


def as_job(name: str, run: str, made: str, began: str | None, ended: str | None, why: str) -> Job:
    """A job by what the API says of its last execution. One that none was begun of has ended, after a while."""
    start = _time(began or made)
    if not began and not ended and datetime.now(UTC) - start > BEGINS_WITHIN:
        return Job(name, run, start, start + BEGINS_WITHIN, why="it was never started")
    return Job(name, run, start, _time(ended) if ended else None, why=why.rstrip("."), restart=is_retryable(why))


def _time(said: str) -> datetime:
    return datetime.fromisoformat(said)


class RetryingCloudRunWorker(CarefulCloudRun, CloudRunWorker):  # type: ignore[misc]
    """Takes the place of Prefect's worker for the API's first version: the last class of a type wins."""

    type = "cloud-run"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._job_of: dict[str, str] = {}  # by execution

    def _find_job(self, run: str, name: str, configuration: CloudRunWorkerJobConfiguration) -> Job:
        with self._get_client(configuration) as api:
            job = Job1.get(api, configuration.project, name)
            made = job.metadata["creationTimestamp"]
            if not (last := job.execution_status.get("name")):
                return as_job(name, run, made, None, None, "")
            execution = Execution.get(api, configuration.project, last)
        why = {} if execution.is_running() else execution.condition_after_completion() or {}
        began, ended = (execution.status.get(name) for name in ("startTime", "completionTime"))
        return as_job(name, run, made, began or made, ended, why.get("message", ""))

    def _delete_job(self, name: str, configuration: CloudRunWorkerJobConfiguration) -> None:
        with self._get_client(configuration) as api:
            Job1.delete(api, configuration.project, name)

    def _get_client(self, configuration: CloudRunWorkerJobConfiguration) -> Any:
        return client("v1", f"https://{configuration.region}-run.googleapis.com", configuration).namespaces()

    def _wait_for_job_creation(
        self, client: Any, configuration: CloudRunWorkerJobConfiguration, logger: Any, poll_interval: int = POLL
    ) -> None:
        while not (job := Job1.get(client, configuration.project, configuration.job_name)).is_ready():
            if job.ready_condition.get("status") == "False":
                raise RuntimeError(f"Cloud Run cannot run this job: {job.ready_condition.get('message')}")
            time.sleep(poll_interval)

    def _begin_job_execution(
        self, configuration: CloudRunWorkerJobConfiguration, client: Any, logger: Any
    ) -> Execution:
        def begun() -> Execution | None:
            name = Job1.get(client, configuration.project, configuration.job_name).execution_status.get("name")
            return Execution.get(client, configuration.project, name) if name else None

        run = super()._begin_job_execution
        execution: Execution = begin(lambda: run(configuration, client, logger), begun)
        self._job_of[execution.name] = configuration.job_name
        return execution

    def _watch_job_execution(self, client: Any, job_execution: Execution, poll_interval: int = 5) -> Execution:
        try:
            ended = super()._watch_job_execution(client, job_execution, poll_interval)
        except HttpError as error:
            if error.status_code != 404:
                raise
            gone = {"type": "Completed", "status": "False", "message": GONE}
            ended = job_execution.copy(update={"status": {**job_execution.status, "conditions": [gone]}})
        job = self._job_of.pop(job_execution.name)
        if not ended.succeeded():
            self._said[job] = (ended.condition_after_completion() or {}).get("message", "")
        return ended


class RetryingCloudRunWorkerV2(CarefulCloudRun, CloudRunWorkerV2):  # type: ignore[misc]
    """The same for the second version."""

    type = "cloud-run-v2"

    def _find_job(self, run: str, name: str, configuration: CloudRunWorkerJobV2Configuration) -> Job:
        with self._get_client(configuration) as api:
            job = JobV2.get(api, configuration.project, configuration.region, name)
            last = job.latestCreatedExecution.get("name", "").rpartition("/")[2]
            if not last:
                return as_job(name, run, job.createTime, None, None, "")
            execution = ExecutionV2.get(api, f"{job.name}/executions/{last}")
        why = {} if execution.is_running() else execution.condition_after_completion() or {}
        began = execution.startTime or execution.createTime
        return as_job(name, run, job.createTime, began, execution.completionTime, why.get("message", ""))

    def _delete_job(self, name: str, configuration: CloudRunWorkerJobV2Configuration) -> None:
        with self._get_client(configuration) as api:
            JobV2.delete(api, configuration.project, configuration.region, name)

    @staticmethod
    def _get_client(configuration: CloudRunWorkerJobV2Configuration) -> Any:
        return client("v2", "https://run.googleapis.com", configuration).projects().locations()

    @staticmethod
    def _wait_for_job_creation(
        cr_client: Any, configuration: CloudRunWorkerJobV2Configuration, logger: Any, poll_interval: int = POLL
    ) -> None:
        place = configuration.project, configuration.region, configuration.job_name
        while not (job := JobV2.get(cr_client, *place)).is_ready():
            if (ready := job.get_ready_condition()).get("state") == "CONDITION_FAILED":
                raise RuntimeError(f"Cloud Run cannot run this job: {ready.get('message')}")
            time.sleep(poll_interval)

    def _begin_job_execution(
        self, cr_client: Any, configuration: CloudRunWorkerJobV2Configuration, logger: Any
    ) -> ExecutionV2:
        def begun() -> ExecutionV2 | None:
            job = JobV2.get(cr_client, configuration.project, configuration.region, configuration.job_name)
            name = job.latestCreatedExecution.get("name", "").rpartition("/")[2]
            return ExecutionV2.get(cr_client, f"{job.name}/executions/{name}") if name else None

        run = super()._begin_job_execution
        return begin(lambda: run(cr_client, configuration, logger), begun)

    def _watch_job_execution(
        self,
        cr_client: Any,
        configuration: CloudRunWorkerJobV2Configuration,
        execution: ExecutionV2,
        poll_interval: int,
    ) -> ExecutionV2:
        try:
            ended = CloudRunWorkerV2._watch_job_execution(cr_client, configuration, execution, poll_interval)
        except HttpError as error:
            if error.status_code != 404:
                raise
            gone = {"type": "Completed", "state": "CONDITION_FAILED", "message": GONE}
            ended = execution.copy(update={"conditions": [gone]})
        if not ended.succeeded():
            self._said[configuration.job_name] = (ended.condition_after_completion() or {}).get("message", "")
        return ended
