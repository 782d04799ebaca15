"""The blocks through which jobs reach the warehouse and Google Cloud, made from the settings.

The server keeps what is secret in them encrypted.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from prefect import get_client
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.exceptions import ObjectNotFound
from prefect_gcp import GcpCredentials, GcsBucket
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector, SyncDriver

from scripts.gcp_key import local_key, read_key, token_uri
from scripts.settings import UserError, need

CONNECTOR, CREDENTIALS, BUCKET = "postgres-connector", "zoom-gcp-creds", "zoom-gcs"
SECRETS = {"bods-api-key": "BODS_API_KEY"}  # Secret block -> the setting that it holds
NEW = "new"  # what `changed` says of a block that is not there


@dataclass(frozen=True)
class Named:
    """A block, the name that jobs and workers know it by, and what may be said of it: nothing secret."""

    name: str
    block: Block
    said: str


async def wanted(env: Mapping[str, str]) -> list[Named]:
    """All blocks, each after those that it refers to. What is not set has none: its jobs say so when they run."""
    google = credentials(env, await service_key(env))
    bucket = GcsBucket.construct(bucket=need(dict(env), "GCS_BUCKET")[0], bucket_folder="", gcp_credentials=google)
    found = [
        Named(CREDENTIALS, google, f"project {google.project or 'of the credentials'}, {whose(google)}"),
        Named(BUCKET, bucket, f"gs://{bucket.bucket}, with {CREDENTIALS}"),
    ]
    if env.get("WAREHOUSE_HOST"):
        postgres = connector(env)
        parts = postgres.connection_info
        said = f"{parts.username}@{parts.host}:{parts.port}/{parts.database}"
        found.insert(0, Named(CONNECTOR, postgres, said))
    for name, setting in SECRETS.items():
        if value := env.get(setting):
            found.append(Named(name, Secret.parse_obj({"value": value}), setting))
    return found


async def register(env: Mapping[str, str]) -> list[str]:
    """Save all blocks with the server; a line on each, without secrets."""
    made = await wanted(env)
    for one in made:
        await one.block.save(one.name, overwrite=True)
    said = [f"block {one.name}: {one.said}" for one in made]
    if not env.get("WAREHOUSE_HOST"):
        said.append(f"block {CONNECTOR}: left as it is, WAREHOUSE_HOST is empty; web-to-postgres needs it")
    return said


async def changed(one: Named) -> str:
    """What saving this block would change: names of fields, never what they hold; empty for nothing."""
    async with get_client() as client:
        try:
            kind = one.block.get_block_type_slug()  # type: ignore[no-untyped-call]
            there = await client.read_block_document_by_name(one.name, kind)
        except ObjectNotFound:
            return NEW
    new = held(one.block)
    return ", ".join(sorted(name for name in new if new[name] != there.data.get(name)))


def held(block: Block) -> dict[str, Any]:
    """What the server holds of a block, as it sends it, secrets in the clear; without blocks that it refers to."""
    fields = block.schema(by_alias=False)["properties"].keys()
    own = {name for name in fields if name[0] != "_" and not isinstance(getattr(block, name, None), Block)}

    def plain(value: Any) -> Any:
        if hasattr(value, "get_secret_value"):
            return value.get_secret_value()
        return value.value if isinstance(value, Enum) else str(value)

    found: dict[str, Any] = json.loads(json.dumps(block.dict(include=own), default=plain))
    return found


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
    made = SqlAlchemyConnector(connection_info=components)
    # The server would hand it out to all who may look at the block, password and all; loading makes it anew.
    made._rendered_url = made._rendered_url.set(password="")
    return made


async def service_key(env: Mapping[str, str]) -> dict[str, Any] | None:
    """The service account's key: the user's; the emulators'; none where the job's own credentials do."""
    if found := read_key(env.get("GCP_KEY_FILE", "")):
        return found
    if not env.get("STORAGE_EMULATOR_HOST"):
        return None
    tokens = env.get("TOKEN_URI") or token_uri(env["STORAGE_EMULATOR_HOST"])
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
