"""Calls of BigQuery that end: each request has a time-out, retries a limit, and an error says what to do."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from google.api_core.exceptions import Conflict, Forbidden, GoogleAPICallError, NotFound, Unauthorized
from google.cloud import bigquery

from longshore import google as cloud
from longshore.backoff import Backoff, Log
from longshore.errors import LoadError
from longshore.sinks.bigquery.sql import STAGING

Job: TypeAlias = bigquery.LoadJob | bigquery.QueryJob

TIMEOUT = 60.0  # seconds for one request
JOB_SECONDS = 6 * 3600.0  # BigQuery ends a job after that itself
LONGEST_PAUSE = 3.0  # seconds between two looks at a job
# https://cloud.google.com/bigquery/docs/error-messages
RETRYABLE = {
    *("backendError", "internalError", "badGateway", "rateLimitExceeded", "quotaExceeded", "tableUnavailable"),
    *("jobBackendError", "jobInternalError", "jobRateLimitExceeded"),
}
GONE = re.compile("not found|does not exist", re.IGNORECASE)  # the service's words, and the emulator's
# The service's word for a failed job, or some of its message -> what to do.
ADVICE = {
    "accessDenied": "The account needs the roles BigQuery Data Editor on the dataset and Job User on the project.",
    "in different locations": "The bucket must be where the dataset is: load into a dataset there.",
    "Error while reading data": "Write the object anew.",
}


@dataclass(frozen=True)
class Service:
    """BigQuery as one load sees it. location: where its jobs run, that of the dataset."""

    client: bigquery.Client
    backoff: Backoff
    log: Log
    location: str | None = None

    @property
    def calls(self) -> dict[str, Any]:
        """How long a call tries, as keywords of the client's methods."""
        return {"retry": cloud.retries(self.backoff), "timeout": TIMEOUT}

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The result of a small query."""
        job = self.client.query(sql, location=self.location, job_retry=None, **self.calls)
        return [dict(row.items()) for row in job.result(job_retry=None, **self.calls)]

    def script(self, sql: str, job_id: str) -> tuple[Job, bool]:
        """Run statements as the job of this id; see `ended`."""
        return self.ended(
            job_id,
            lambda: self.client.query(sql, job_id=job_id, location=self.location, job_retry=None, **self.calls),
        )

    def ended(self, job_id: str, begin: Callable[[], Job]) -> tuple[Job, bool]:
        """The job once it has ended, well or not, and whether it is begin()'s.

        It is not when a job of this id was there before: begun by a request whose answer was lost, or by a process that
        died. The service runs an id once.
        """
        try:
            job, ours = begin(), True
        except Conflict:
            job, ours = self.client.get_job(job_id, location=self.location, **self.calls), False
            self.log.info("The job %s was begun before; waiting for it.", job_id)
        pause, end = 0.2, time.monotonic() + JOB_SECONDS
        while job.state != "DONE":
            if time.monotonic() > end:
                raise LoadError(f"The BigQuery job {job_id} does not end. Cancel it: bq cancel {job_id}.")
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)
            job.reload(**self.calls)
        return job, ours


def failure(name: str, job: Job) -> LoadError:
    """Why a job failed, and what to do. name: what it was for."""
    reason, said = job.error_result.get("reason"), _one_line(job.error_result.get("message"))
    if STAGING in said and GONE.search(said):
        advice = "This run stood still for so long that another took it for dead. Run it again."
        return LoadError(f"{name}: the staging table is gone. {advice}", retryable=True)
    advices = [words for sign, words in ADVICE.items() if sign == reason or sign in said]
    return LoadError(" ".join([f"{name}: {said}.", *advices]), retryable=reason in RETRYABLE)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Raise LoadError, with what to do, for what BigQuery's client raises about the table or dataset called `name`."""
    with cloud.explained(name):
        try:
            yield
        except (Forbidden, Unauthorized) as error:
            if _reason(error) in RETRYABLE:
                raise LoadError(f"{name}: {_one_line(error.message)}.", retryable=True) from error
            raise LoadError(
                f"{name}: access is refused: {_one_line(error.message)}. {ADVICE['accessDenied']}"
            ) from error
        except NotFound as error:
            raise LoadError(
                f"{name}: {_one_line(error.message)}. Was it deleted meanwhile? Run it again.", retryable=True
            ) from error
        except GoogleAPICallError as error:
            if _reason(error) in RETRYABLE:
                raise LoadError(f"{name}: {_one_line(error.message)}.", retryable=True) from error
            raise


def _reason(error: GoogleAPICallError) -> str:
    """The service's word for what is wrong, "" where it says none."""
    said = error.errors[0] if error.errors else {}
    return str(said.get("reason", "")) if isinstance(said, dict) else ""


def _one_line(said: str | None) -> str:
    """What the service says, without the request that it answers and without saying it twice."""
    words = "; ".join(line.strip() for line in (said or "no reason given").splitlines() if line.strip())
    return re.sub(r"^[A-Z]+ http\S+: |; reason: .*", "", words).rstrip(".")
