"""Which bucket and which Google Cloud project to use: the environment's, or a Prefect block's.

Without a key file the credentials are those of the machine (Application Default Credentials).
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound, PreconditionFailed, Unauthorized
from google.api_core.retry import Retry
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.cloud import bigquery
from prefect_gcp import GcpCredentials, GcsBucket
from requests.exceptions import RequestException

from jobs.common.backoff import RETRY_STATUS, Backoff
from jobs.common.errors import LoadError


def bucket(block: str) -> GcsBucket:
    """The bucket GCS_BUCKET where it is set, else that of the GcsBucket block of that name."""
    name = os.environ.get("GCS_BUCKET")
    if name:
        return _made("", "", lambda: GcsBucket(bucket=name, gcp_credentials=_from_environment()))
    return _made(f"gcs-bucket/{block}", "GCS_BUCKET", lambda: GcsBucket.load(block))


def object_name(block: GcsBucket, path: str) -> str:
    """The whole name of an object: its path is below the block's folder. Who writes and who reads must agree on it."""
    return str(PurePosixPath(block.bucket_folder or "") / path)


def bigquery_client(block: str) -> bigquery.Client:
    """A client for GCP_PROJECT where it is set, else for the GcpCredentials block of that name."""
    if os.environ.get("GCP_PROJECT"):
        credentials = _made("", "", _from_environment)
    else:
        credentials = _made(f"gcp-credentials/{block}", "GCP_PROJECT", lambda: GcpCredentials.load(block))
    return credentials.get_bigquery_client()


def _from_environment() -> GcpCredentials:
    return GcpCredentials(project=os.environ.get("GCP_PROJECT"))


def _made(block: str, setting: str, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except DefaultCredentialsError as error:
        raise LoadError(
            "There are no Google Cloud credentials. On Google Cloud, run as a service account; elsewhere, set"
            " GOOGLE_APPLICATION_CREDENTIALS to a key file, or `gcloud auth application-default login`."
        ) from error
    except ValueError as error:
        if not block or "Unable to find block document" not in str(error):
            raise LoadError(f"The Google Cloud credentials cannot be used: {error}") from error
        raise LoadError(
            f"There is no block {block}, and {setting} is not set. Register the block with `make deploy`,"
            f" or set {setting} to run without a server."
        ) from error


def patience(backoff: Backoff) -> Retry:
    """The same patience for one call of a Google client; it knows no number of attempts, so this counts them."""
    failures = count(1)
    return Retry(lambda error: may_pass(error) and next(failures) < backoff.attempts, backoff.first, 60, timeout=None)


def may_pass(error: BaseException) -> bool:
    """Whether the same call may succeed a little later."""
    status = getattr(error, "code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return status in RETRY_STATUS if status else isinstance(error, RequestException | ConnectionError)


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
        raise LoadError(f"{name}: another run changed the object meanwhile. Run it again.", transient=True) from error
    except (GoogleAPICallError, RequestException, ConnectionError) as error:
        advice = " Is the service up? Run it again later." if may_pass(error) else ""
        raise LoadError(f"{name}: {_said(error)}.{advice}", transient=may_pass(error)) from error
    except GoogleAuthError as error:
        advice = f"{name}: the Google Cloud credentials do not work: {error}"
        raise LoadError(advice, transient=error.retryable) from error


def _said(error: BaseException) -> str:
    """What the service says, without the request's address and the answer's JSON around it."""
    if isinstance(error, RequestException) and error.request is not None:
        return f"{urlsplit(str(error.request.url)).netloc} cannot be reached, or broke the connection"
    text = str(getattr(error, "message", "") or error)
    inner = re.search(r'"message": "([^"]+)"', text)
    return (inner[1] if inner else re.sub(r"^[A-Z]+ https?://\S+: ", "", text)).rstrip(".")
