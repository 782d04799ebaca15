"""The blocks through which jobs reach the warehouse and Google Cloud, made from the settings.

The server keeps what is secret in them encrypted.
"""

from collections.abc import Mapping
from typing import Any

from prefect import get_client
from prefect.blocks.core import Block
from prefect.exceptions import ObjectNotFound
from prefect_gcp import GcpCredentials, GcsBucket
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver

from scripts.gcp_key import local_key, read_key, token_uri
from scripts.settings import UserError, need

CONNECTOR, CREDENTIALS, BUCKET = "postgres-connector", "zoom-gcp-creds", "zoom-gcs"


async def register(env: Mapping[str, str]) -> list[str]:
    """Save all blocks with the server; a line on each, without secrets."""
    postgres = connector(env)
    parts = postgres.connection_info
    google = credentials(env, await service_key(env))
    bucket = GcsBucket.construct(bucket=need(dict(env), "GCS_BUCKET")[0], bucket_folder="", gcp_credentials=google)
    return [
        await save(CONNECTOR, postgres, f"{parts.username}@{parts.host}:{parts.port}/{parts.database}"),
        await save(CREDENTIALS, google, f"project {google.project or 'of the credentials'}, {whose(google)}"),
        await save(BUCKET, bucket, f"gs://{bucket.bucket}, with {CREDENTIALS}"),
    ]


async def save(name: str, block: Block, said: str) -> str:
    await block.save(name, overwrite=True)
    return f"block {name}: {said}"


def connector(env: Mapping[str, str]) -> SqlAlchemyConnector:
    """The warehouse."""
    host, database, user, password = need(
        dict(env), "WAREHOUSE_HOST", "WAREHOUSE_DB", "WAREHOUSE_USER", "WAREHOUSE_PASSWORD"
    )
    port = env.get("WAREHOUSE_PORT") or "5432"
    if not port.isdigit():
        raise UserError(f"WAREHOUSE_PORT={port} is not a port number")
    components = ConnectionComponents(
        driver=SyncDriver.POSTGRESQL_PSYCOPG2, host=host, port=port, database=database, username=user, password=password
    )
    return SqlAlchemyConnector(connection_info=components)


async def service_key(env: Mapping[str, str]) -> dict[str, Any] | None:
    """The service account's key: the user's; the emulators'; none where the job's own credentials do."""
    if found := read_key(env.get("GCP_KEY_FILE", "")):
        return found
    if not env.get("STORAGE_EMULATOR_HOST"):
        return None
    tokens = token_uri(env["STORAGE_EMULATOR_HOST"])
    there = await registered_key()
    return there if there.get("token_uri") == tokens else local_key(tokens, env.get("GCP_PROJECT") or "local")


async def registered_key() -> dict[str, Any]:
    """The key that is in the block already, so that the emulators' does not change with each deploy."""
    async with get_client() as client:
        try:
            document = await client.read_block_document_by_name(CREDENTIALS, GcpCredentials.get_block_type_slug())
        except ObjectNotFound:
            return {}
    return document.data.get("service_account_info") or {}


def credentials(env: Mapping[str, str], key: Mapping[str, Any] | None) -> GcpCredentials:
    """Google Cloud with a key, or with the credentials that the job's container has of its own."""
    project = env.get("GCP_PROJECT") or None
    if key is None:
        # Not validated: the block would look for credentials here and now, and it is the job that has them.
        return GcpCredentials.construct(project=project)
    try:
        return GcpCredentials(service_account_info=dict(key), project=project)
    except ValueError as error:
        raise UserError(f"GCP_KEY_FILE: the key cannot be used: {error}") from error


def whose(google: GcpCredentials) -> str:
    info = google.service_account_info
    return info.get_secret_value()["client_email"] if info else "the job's own credentials"
