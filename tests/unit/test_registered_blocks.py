"""What `make deploy` registers, on a Prefect of the test's own."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from prefect import get_client
from prefect_gcp import GcpCredentials, GcsBucket
from prefect_sqlalchemy import SqlAlchemyConnector

from scripts.blocks import BUCKET, CONNECTOR, CREDENTIALS, NEW, Named, changed, register, wanted
from scripts.gcp_key import local_key, token_uri
from scripts.settings import UserError

WAREHOUSE = {"WAREHOUSE_HOST": "h", "WAREHOUSE_DB": "d", "WAREHOUSE_USER": "u", "WAREHOUSE_PASSWORD": "s3cret!"}
CLOUD = {**WAREHOUSE, "GCP_PROJECT": "mine", "GCS_BUCKET": "my-bucket"}
LOCAL = {**CLOUD, "STORAGE_EMULATOR_HOST": "http://gcs:9023"}


def registered(env: dict[str, str]) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    """What register says, and what the server holds of the credentials and of the bucket."""

    async def both() -> tuple[list[str], dict[str, Any], dict[str, Any]]:
        said = await register(env)
        async with get_client() as client:
            google = await client.read_block_document_by_name(CREDENTIALS, "gcp-credentials")
            bucket = await client.read_block_document_by_name(BUCKET, "gcs-bucket")
        assert list(bucket.block_document_references) == ["gcp_credentials"]
        return said, google.data, bucket.data

    return asyncio.run(both())


def test_the_emulators_get_a_key_of_their_own_and_keep_it() -> None:
    said, google, bucket = registered(LOCAL)
    key = google["service_account_info"]
    assert key["token_uri"] == token_uri("http://gcs:9023") == "http://gcs:9024/token"
    assert bucket["bucket"] == "my-bucket"
    assert registered(LOCAL)[1] == google
    _, moved, _ = registered({**LOCAL, "STORAGE_EMULATOR_HOST": "http://elsewhere:1"})
    assert moved["service_account_info"]["token_uri"] == "http://elsewhere:9024/token"
    assert "s3cret!" not in "".join(said)
    assert key["private_key"][60:90] not in "".join(said)
    assert [line.split(":")[0] for line in said] == [
        "block postgres-connector",
        f"block {CREDENTIALS}",
        f"block {BUCKET}",
    ]


def test_a_job_has_its_own_credentials_where_no_key_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    said, google, _ = registered(CLOUD)
    assert google["service_account_info"] is None
    assert said[1] == f"block {CREDENTIALS}: project mine, the job's own credentials"
    own = tmp_path / "own.json"
    own.write_text(json.dumps(local_key("http://127.0.0.1:1/token", "theirs")))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(own))  # as a service account on Google Cloud has them
    bucket = GcsBucket.load(BUCKET)
    assert bucket.gcp_credentials.get_cloud_storage_client().project == "mine"


def test_the_users_key_wins_and_names_its_project(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(json.dumps(local_key("http://127.0.0.1:1/token", "theirs")))
    said, _, _ = registered({**LOCAL, "GCP_PROJECT": "", "GCP_KEY_FILE": str(file)})
    assert said[1] == f"block {CREDENTIALS}: project theirs, longshore@theirs.iam.gserviceaccount.com"
    google = GcpCredentials.load(CREDENTIALS)
    assert google.project == "theirs"
    assert google.service_account_file is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("s3cret, not json", "is not JSON"),
        ('{"type": "authorized_user", "refresh_token": "s3cret"}', "not the key of a service account"),
        ('{"type": "service_account", "private_key": "s3cret"}', "cannot be used"),
    ],
)
def test_a_wrong_key_file_is_named_and_not_shown(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "key.json"
    file.write_text(content)
    with pytest.raises(UserError, match=message) as raised:
        asyncio.run(register({**CLOUD, "GCP_KEY_FILE": str(file)}))
    assert "GCP_KEY_FILE" in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_the_server_shows_no_password_of_the_warehouse() -> None:
    """The library renders the address, password and all, into a field that the server does not know to hide."""

    async def shown() -> str:
        await register(CLOUD)
        async with get_client() as client:
            return str(
                await client.read_block_document_by_name(CONNECTOR, "sqlalchemy-connector", include_secrets=False)
            )

    assert "s3cret" not in asyncio.run(shown())
    assert SqlAlchemyConnector.load(CONNECTOR)._rendered_url.password == "s3cret!"


def test_the_key_of_the_bus_feed_is_in_a_block_and_in_nothing_that_is_said() -> None:
    with_key = {**CLOUD, "BODS_API_KEY": "k3y-of-mine"}

    async def key(env: dict[str, str]) -> Named:
        return next(one for one in await wanted(env) if one.name == "bods-api-key")

    async def steps() -> str:
        assert await changed(await key(with_key)) == NEW
        said = await register(with_key)
        assert await changed(await key(with_key)) == ""
        assert await changed(await key({**CLOUD, "BODS_API_KEY": "an0ther"})) == "value"
        await register(CLOUD)  # a deploy without the key leaves the block alone
        assert await changed(await key(with_key)) == ""
        async with get_client() as client:
            shown = await client.read_block_document_by_name("bods-api-key", "secret", include_secrets=False)
        return f"{said}{shown}{await key(with_key)}"

    text = asyncio.run(steps())
    assert "block bods-api-key: BODS_API_KEY" in text
    assert "k3y-of-mine" not in text


def test_where_there_is_no_warehouse_its_block_is_left_alone() -> None:
    said, _, _ = registered({**CLOUD, "WAREHOUSE_HOST": ""})
    assert said[2].startswith("block postgres-connector: left as it is, WAREHOUSE_HOST is empty")


def test_a_missing_key_file_is_an_error() -> None:
    with pytest.raises(UserError, match=r"GCP_KEY_FILE: .*no/such"):
        asyncio.run(register({**CLOUD, "GCP_KEY_FILE": "/no/such/key.json"}))
