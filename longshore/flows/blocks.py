"""Which database, bucket, project or key to use: the environment's, or that of a Prefect block.

Each function imports what it makes: no job needs all of it, and no image has more than its job needs.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from longshore.errors import LoadError
from longshore.flows.runner import runner

if TYPE_CHECKING:
    from google.cloud import bigquery
    from sqlalchemy import Engine

    from longshore.google import Bucket

CONNECT_ARGS = {"connect_timeout": 10, "application_name": "longshore"}


def engine(block: str) -> "Engine":
    """An engine for WAREHOUSE_URL where it is set, else for the SqlAlchemyConnector block of that name."""
    runner().begin()
    from sqlalchemy import NullPool, create_engine, make_url
    from sqlalchemy.exc import ArgumentError

    url = os.environ.get("WAREHOUSE_URL")
    if not url:

        def load() -> Any:
            from prefect_sqlalchemy import SqlAlchemyConnector

            return SqlAlchemyConnector.load(block)

        connector = from_block("sqlalchemy-connector", block, "WAREHOUSE_URL", load, DATABASE_URL)
        url = connector._rendered_url.render_as_string(hide_password=False)
    try:
        parsed = make_url(url).set(drivername="postgresql+psycopg2")
    except (ArgumentError, ValueError):  # their words may hold parts of the password
        raise LoadError(f"WAREHOUSE_URL is no database URL: {DATABASE_URL}.") from None
    return create_engine(parsed, connect_args=CONNECT_ARGS, poolclass=NullPool)  # a load ends with its connection


def bucket(block: str) -> "Bucket":
    """The bucket GCS_BUCKET where it is set, else that of the GcsBucket block of that name."""
    runner().begin()
    from longshore.google import Bucket, storage_client, usable_credentials

    if name := os.environ.get("GCS_BUCKET"):
        return Bucket(storage_client(os.environ.get("GCP_PROJECT")), name)

    def load() -> Any:
        from prefect_gcp import GcsBucket

        return GcsBucket.load(block)

    with usable_credentials():
        found = from_block("gcs-bucket", block, "GCS_BUCKET", load)
        return Bucket(found.gcp_credentials.get_cloud_storage_client(), found.bucket, found.bucket_folder or "")


def bigquery_client(block: str) -> "bigquery.Client":
    """A client for GCP_PROJECT where it is set, else for the GcpCredentials block of that name."""
    runner().begin()
    from longshore import google

    if project := os.environ.get("GCP_PROJECT"):
        return google.bigquery_client(project)

    def load() -> Any:
        from prefect_gcp import GcpCredentials

        return GcpCredentials.load(block)

    with google.usable_credentials():
        return from_block("gcp-credentials", block, "GCP_PROJECT", load).get_bigquery_client()


def secret(block: str, setting: str, advice: str) -> str:
    """The setting where it is set, else what the Secret block of that name holds. advice: where to get one."""
    runner().begin()
    if value := os.environ.get(setting):
        return value

    def load() -> Any:
        from prefect.blocks.system import Secret

        return Secret.load(block)

    return str(from_block("secret", block, setting, load, advice=advice).get())


DATABASE_URL = "postgresql://USER:PASSWORD@HOST/DATABASE"


def from_block(
    kind: str, block: str, setting: str, load: Callable[[], Any], example: str = "", advice: str = ""
) -> Any:
    """The block. Raises LoadError where there is none, with the setting that takes its place."""
    name, set_it = f"{kind}/{block}", f"{setting}={example}" if example else setting
    if not runner().has_blocks:
        raise LoadError(
            f"{setting} is not set. {advice or f'Set {set_it}'}, or set PREFECT_API_URL: its server keeps block {name}."
        )
    try:
        return load()
    except ValueError as error:
        if "Unable to find block document" not in str(error):
            raise
        raise LoadError(
            f"There is no block {name}, and {setting} is not set."
            f" {advice or f'Register the block with `make deploy`, or set {set_it} to run without a server.'}"
        ) from error
