"""Which bucket and which Google Cloud project to use: the environment's, or a Prefect block's.

Without a key file the credentials are those of the machine (Application Default Credentials).
"""

import os
from collections.abc import Callable
from typing import Any

from google.auth.exceptions import DefaultCredentialsError
from google.cloud import bigquery
from prefect_gcp import GcpCredentials, GcsBucket

from jobs.common.errors import LoadError


def bucket(block: str) -> GcsBucket:
    """The bucket GCS_BUCKET where it is set, else that of the GcsBucket block of that name."""
    name = os.environ.get("GCS_BUCKET")
    if name:
        return _made("", "", lambda: GcsBucket(bucket=name, gcp_credentials=_from_environment()))
    return _made(f"gcs-bucket/{block}", "GCS_BUCKET", lambda: GcsBucket.load(block))


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
