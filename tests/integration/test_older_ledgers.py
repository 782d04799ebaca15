"""What the version before has loaded is still known: its ledgers, kept in tests/data, say "unchanged" today."""

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from google.cloud import bigquery
from sqlalchemy import text

from jobs.gcs_to_bigquery.flow import gcs_to_bigquery
from jobs.web_to_gcs.flow import web_to_gcs
from jobs.web_to_postgres.flow import web_to_postgres
from longshore.sources.objects import FoundObjects
from scripts.settings import ROOT
from standins.web.server import Site
from tests.conftest import Cloud, Database

OLDER = json.loads((ROOT / "tests/data/older_ledgers.json").read_text())
MADE = 1_700_000_000  # when the files of OLDER were


@pytest.fixture
def files(site: Site, publish: Callable[..., Any]) -> None:
    """The files that were loaded: the same bytes and times, so the same ETags."""
    publish("yellow", rows=5)
    publish("green", rows=5)
    for name, content in OLDER["files"].items():
        path = site.root / name
        path.write_text(content)
        os.utime(path, (MADE, MADE))


def filled(what: Any, site: Site, cloud: Cloud) -> Any:
    """The same with this test's site, bucket and dataset."""
    text = json.dumps(what)
    for name, value in {"SITE": site.url, "BUCKET": cloud.bucket.name, "DATASET": cloud.dataset}.items():
        text = text.replace(f"{{{name}}}", value)
    return json.loads(text)


def statuses(flow: Any, runs: list[dict[str, Any]]) -> list[str]:
    """How each run's load ended."""
    return [flow(**parameters, return_state=True).result()[0].status for parameters in runs]


@pytest.mark.usefixtures("files")
def test_slices_in_postgres_are_unchanged(taxi: Database, cloud: Cloud, site: Site) -> None:
    older = filled(OLDER["web-to-postgres"], site, cloud)
    assert set(statuses(web_to_postgres, older["runs"])) == {"loaded"}
    for entry in older["ledger"]:
        for name in ("source", "fingerprint", "settings"):
            where = "table_name = :table_name AND slice = :slice"
            assert taxi.rows(f"SELECT 1 FROM load_ledger WHERE {where}", **entry) == [(1,)]
            with taxi.engine.begin() as connection:
                connection.execute(text(f"UPDATE load_ledger SET {name} = :{name} WHERE {where}"), entry)
    assert set(statuses(web_to_postgres, older["runs"])) == {"unchanged"}


@pytest.mark.usefixtures("files", "taxi")
def test_objects_in_a_bucket_are_unchanged(cloud: Cloud, site: Site) -> None:
    older = filled(OLDER["web-to-gcs"], site, cloud)
    assert set(statuses(web_to_gcs, older["runs"])) == {"loaded"}
    for name, metadata in older["objects"].items():
        blob = cloud.bucket.get_blob(name)
        blob.metadata = {key: value for key, value in metadata.items() if key != "generation"}
        blob.patch()
    assert set(statuses(web_to_gcs, older["runs"])) == {"unchanged"}


@pytest.mark.usefixtures("files", "taxi")
def test_slices_in_bigquery_are_unchanged(cloud: Cloud, site: Site) -> None:
    older = filled(OLDER["gcs-to-bigquery"], site, cloud)
    statuses(web_to_gcs, filled(OLDER["web-to-gcs"]["runs"], site, cloud))
    assert set(statuses(gcs_to_bigquery, older["runs"])) == {"loaded"}
    for entry in older["ledger"]:
        names = ("source", "settings", "table_name", "slice")  # the objects' generations are others
        given = [bigquery.ScalarQueryParameter(name, "STRING", entry[name]) for name in names]
        cloud.bigquery.query(
            f"UPDATE {cloud.dataset}.load_ledger SET source = @source, settings = @settings"
            " WHERE table_name = @table_name AND slice = @slice",
            bigquery.QueryJobConfig(query_parameters=given),
        ).result()
    assert set(statuses(gcs_to_bigquery, older["runs"])) == {"unchanged"}


def test_the_same_objects_have_the_same_fingerprint() -> None:
    objects, ledger = OLDER["web-to-gcs"]["objects"], OLDER["gcs-to-bigquery"]["ledger"]
    for entry in ledger:
        name = entry["source"].removeprefix("gs://{BUCKET}/")
        found: Any = FoundObjects(None, (), ((name, objects[name]["generation"]),), None, None)  # type: ignore[arg-type]
        assert found.fingerprint == entry["fingerprint"]
