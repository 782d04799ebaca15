"""Google's clients for the emulators, with no environment variables and no key."""

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage


def clients(storage_url: str, bigquery_url: str, project: str) -> tuple[storage.Client, bigquery.Client]:
    """Cloud Storage and BigQuery at these addresses."""
    nobody = AnonymousCredentials()
    return (
        storage.Client(project, nobody, client_options={"api_endpoint": storage_url}),
        bigquery.Client(project, nobody, client_options={"api_endpoint": bigquery_url}),
    )
