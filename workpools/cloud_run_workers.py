"""Cloud Run workers that bear with a service that is busy or away for a moment.

Prefect's own give a run up when one request fails: 429 or 503 at its start makes it Crashed, and while it runs nobody
watches it any more. These ask again, without ever starting a job twice. They also end a run whose job can't be made
or is gone, which Prefect's own wait for.
"""

import logging
import time
import warnings
from collections.abc import Callable
from typing import Any

import httplib2
from google.api_core.client_options import ClientOptions
from google.api_core.retry import Retry
from google.auth.exceptions import TransportError
from googleapiclient import discovery
from googleapiclient.errors import HttpError
from googleapiclient.http import HttpRequest
from prefect_gcp.cloud_run import Execution, Job
from prefect_gcp.models.cloud_run_v2 import ExecutionV2, JobV2
from prefect_gcp.workers.cloud_run import CloudRunWorker, CloudRunWorkerJobConfiguration
from prefect_gcp.workers.cloud_run_v2 import CloudRunWorkerJobV2Configuration, CloudRunWorkerV2

PASSING = {429, 500, 502, 503, 504}
MINUTES = 10  # for which a request is repeated
POLL = 2  # seconds between looks at a new job
GONE = "The job or its execution is gone from Cloud Run: it was cancelled or deleted."
log = logging.getLogger("prefect.workers.cloud-run")
warnings.filterwarnings("ignore", "Type '.*' at .* matches existing registered type")  # that is what we want


def passes(error: Exception) -> bool:
    """Whether asking again may help."""
    if isinstance(error, HttpError):
        return error.status_code in PASSING
    return isinstance(error, OSError | httplib2.HttpLib2Error | TransportError)


def say(error: Exception) -> None:
    log.warning("Cloud Run: %s. Asking again.", error)


patient = Retry(predicate=passes, initial=1, maximum=30, multiplier=2, timeout=MINUTES * 60, on_error=say)


class PatientRequest(HttpRequest):  # type: ignore[misc]
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

        return patient(once)()


def begin(run: Callable[[], Any], begun: Callable[[], Any]) -> Any:
    """Run a job. Where the answer was lost the execution may have begun: `begun` finds it, or None."""

    def once() -> Any:
        try:
            return run()
        except Exception as error:
            if passes(error) and (found := begun()):
                return found
            raise

    return patient(once)()


def client(version: str, endpoint: str, configuration: Any) -> Any:
    """The API, with patience."""
    return discovery.build(
        "run",
        version,
        client_options=ClientOptions(api_endpoint=endpoint),
        credentials=configuration.credentials.get_credentials_from_service_account(),
        requestBuilder=PatientRequest,
    )


class PatientCloudRunWorker(CloudRunWorker):  # type: ignore[misc]
    """Takes the place of Prefect's worker for the API's first version: the last class of a type wins."""

    type = "cloud-run"

    def _get_client(self, configuration: CloudRunWorkerJobConfiguration) -> Any:
        return client("v1", f"https://{configuration.region}-run.googleapis.com", configuration).namespaces()

    def _wait_for_job_creation(
        self, client: Any, configuration: CloudRunWorkerJobConfiguration, logger: Any, poll_interval: int = POLL
    ) -> None:
        while not (job := Job.get(client, configuration.project, configuration.job_name)).is_ready():
            if job.ready_condition.get("status") == "False":
                raise RuntimeError(f"Cloud Run cannot run this job: {job.ready_condition.get('message')}")
            time.sleep(poll_interval)

    def _begin_job_execution(
        self, configuration: CloudRunWorkerJobConfiguration, client: Any, logger: Any
    ) -> Execution:
        def begun() -> Execution | None:
            name = Job.get(client, configuration.project, configuration.job_name).execution_status.get("name")
            return Execution.get(client, configuration.project, name) if name else None

        run = super()._begin_job_execution
        return begin(lambda: run(configuration, client, logger), begun)

    def _watch_job_execution(self, client: Any, job_execution: Execution, poll_interval: int = 5) -> Execution:
        try:
            return super()._watch_job_execution(client, job_execution, poll_interval)
        except HttpError as error:
            if error.status_code != 404:
                raise
            ended = {"type": "Completed", "status": "False", "message": GONE}
            return job_execution.copy(update={"status": {**job_execution.status, "conditions": [ended]}})


class PatientCloudRunWorkerV2(CloudRunWorkerV2):  # type: ignore[misc]
    """The same for the second version."""

    type = "cloud-run-v2"

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

    @staticmethod
    def _watch_job_execution(
        cr_client: Any, configuration: CloudRunWorkerJobV2Configuration, execution: ExecutionV2, poll_interval: int
    ) -> ExecutionV2:
        try:
            return CloudRunWorkerV2._watch_job_execution(cr_client, configuration, execution, poll_interval)
        except HttpError as error:
            if error.status_code != 404:
                raise
            ended = {"type": "Completed", "state": "CONDITION_FAILED", "message": GONE}
            return execution.copy(update={"conditions": [ended]})
