"""Google Cloud's clients, how often their calls are tried again, and what their errors mean.

Without a key file the credentials are those of the machine (Application Default Credentials).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import google.auth
from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound, PreconditionFailed, Unauthorized
from google.api_core.retry import Retry
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from requests.exceptions import RequestException

from longshore.backoff import RETRY_STATUS, Backoff
from longshore.errors import LoadError

if TYPE_CHECKING:  # each takes a second to import
    from google.cloud import bigquery, storage


@dataclass(frozen=True)
class Bucket:
    """A bucket, and the folder in it that is ours ("": all of it)."""

    store: "storage.Client"
    name: str
    folder: str = ""

    @property
    def bucket(self) -> "storage.Bucket":
        return self.store.bucket(self.name)

    def path(self, path: str) -> str:
        """The whole name of an object: its path is below the folder. Who writes and who reads must agree on it."""
        return str(PurePosixPath(self.folder) / path)

    def uri(self, path: str) -> str:
        return f"gs://{self.name}/{self.path(path)}"


def storage_client(project: str | None) -> "storage.Client":
    """A client with the credentials that this machine has (Application Default Credentials)."""
    from google.cloud import storage

    return _made(project, storage.Client)


def bigquery_client(project: str | None) -> "bigquery.Client":
    """The same for BigQuery."""
    from google.cloud import bigquery

    return _made(project, bigquery.Client)


def _made(project: str | None, client: Any) -> Any:
    with usable_credentials():
        credentials, own = google.auth.default()
        return client(project=project or credentials.quota_project_id or own, credentials=credentials)


@contextmanager
def usable_credentials() -> Iterator[None]:
    """Raise LoadError for credentials that are not there, or that are none."""
    try:
        yield
    except DefaultCredentialsError as error:
        raise LoadError(
            "There are no Google Cloud credentials. On Google Cloud, run as a service account; elsewhere, set"
            " GOOGLE_APPLICATION_CREDENTIALS to a key file, or `gcloud auth application-default login`."
        ) from error
    except ValueError as error:
        raise LoadError(f"The Google Cloud credentials cannot be used: {error}") from error


def retries(backoff: Backoff) -> Retry:
    """The same back-off for one call of a Google client, which knows no number of attempts, so this counts them."""
    failures = count(1)
    return Retry(
        lambda error: is_retryable(error) and next(failures) < backoff.attempts, backoff.first, 60, timeout=None
    )


def is_retryable(error: BaseException) -> bool:
    """Whether the same call may succeed a little later."""
    status = getattr(error, "code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return status in RETRY_STATUS if status else isinstance(error, RequestException | ConnectionError | TransportError)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Raise LoadError, with what to do, for what Google's clients raise about the bucket or object called `name`."""
    try:
        yield
    except NotFound as error:
        bucket = name.split("/")[2]
        raise LoadError(
            f"{name}: there is no bucket {bucket}, or it is not yours to see. Make it (gcloud storage buckets create"
            f" gs://{bucket}), or correct the GcsBucket block or GCS_BUCKET."
        ) from error
    except (Forbidden, Unauthorized) as error:
        raise LoadError(
            f"{name}: access is refused: {_said(error)}. The account needs a role on the bucket: Storage Object User,"
            " or Storage Object Viewer where it only reads."
        ) from error
    except PreconditionFailed as error:
        raise LoadError(f"{name}: another run changed the object meanwhile. Run it again.", retryable=True) from error
    except (GoogleAPICallError, RequestException, ConnectionError) as error:
        advice = " Is the service up? Run it again later." if is_retryable(error) else ""
        raise LoadError(f"{name}: {_said(error)}.{advice}", retryable=is_retryable(error)) from error
    except TransportError as error:
        advice = "the service that gives the credentials their access tokens cannot be reached. Run it again later."
        raise LoadError(f"{name}: {advice}", retryable=True) from error
    except GoogleAuthError as error:
        advice = f"{name}: the Google Cloud credentials do not work: {error}"
        raise LoadError(advice, retryable=error.retryable) from error


def _said(error: BaseException) -> str:
    """What the service says, without the request's address and the answer's JSON around it."""
    if isinstance(error, RequestException) and error.request is not None:
        return f"{urlsplit(str(error.request.url)).netloc} cannot be reached, or broke the connection"
    text = str(getattr(error, "message", "") or error)
    inner = re.search(r'"message": "([^"]+)"', text)
    return (inner[1] if inner else re.sub(r"^[A-Z]+ https?://\S+: ", "", text)).rstrip(".")
