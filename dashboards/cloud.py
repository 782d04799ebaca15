"""Google's clients for the pages, which only read; and what their errors mean."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound, RetryError, Unauthorized
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.cloud import bigquery, storage
from google.oauth2.service_account import Credentials
from requests.exceptions import RequestException

from longshore.errors import LoadError

READ_ONLY = ("https://www.googleapis.com/auth/devstorage.read_only", "https://www.googleapis.com/auth/bigquery")


def storage_client() -> storage.Client:
    return storage.Client(**_account("STORAGE_EMULATOR_HOST"))


def bigquery_client() -> bigquery.Client:
    return bigquery.Client(**_account("BIGQUERY_EMULATOR_HOST"))


def _account(emulator: str) -> dict[str, Any]:
    """Who asks: nobody at an emulator; else the key GCP_KEY_FILE, or the account that the machine has of its own."""
    project = os.environ.get("GCP_PROJECT") or None
    if os.environ.get(emulator):
        return {"project": project or "local", "credentials": AnonymousCredentials()}
    key = Path(os.environ.get("GCP_KEY_FILE") or os.devnull)
    if key.is_file():
        credentials = Credentials.from_service_account_file(str(key), scopes=READ_ONLY)
        return {"project": project or credentials.project_id, "credentials": credentials}
    return {"project": project}


@contextmanager
def explained(name: str, missing: str) -> Iterator[None]:
    """Raise LoadError for what Google's clients raise about `name`. missing: what to do when it is not there."""
    try:
        yield
    except NotFound as error:
        raise LoadError(f"{name} is not there. {missing}") from error
    except (Forbidden, Unauthorized) as error:
        raise LoadError(
            f"{name} is not there, or access is refused. {missing} The page's account needs to read it: Storage Object"
            " Viewer on the bucket, BigQuery Data Viewer and Job User for the history."
        ) from error
    except DefaultCredentialsError as error:
        raise LoadError(
            f"{name}: there are no Google Cloud credentials. Run the page as a service account, or set GCP_KEY_FILE"
            " to the key of one."
        ) from error
    except (GoogleAuthError, ValueError, OSError) as error:
        if isinstance(error, RequestException | ConnectionError):
            raise LoadError(f"{name}: Google Cloud cannot be reached. It is tried again.", retryable=True) from error
        raise LoadError(f"{name}: the Google Cloud credentials do not work. Is GCP_KEY_FILE a key?") from error
    except (GoogleAPICallError, RetryError) as error:
        said = str(getattr(error, "message", error)).split("\n")[0]
        raise LoadError(f"{name}: {said}. It is tried again.", retryable=True) from error
