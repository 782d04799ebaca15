"""The stand-ins that trials read, and a look at everything that a job can write to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from standins.buses.server import BusSite
from tests.conftest import Cloud, Database

LEDGER = "load_ledger"  # says when and by which run a slice was loaded: a rerun may write it anew
TABLES = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)'"


@dataclass(frozen=True)
class Sinks:
    """All that jobs write to."""

    database: Database
    cloud: Cloud

    def contents(self) -> dict[str, Any]:
        """Rows of every table, bytes of every object, by name; ledgers are left out."""
        tables = [name for (name,) in self.database.rows(TABLES)]
        client = self.cloud.bigquery
        lists = [client.list_tables(found.reference) for found in client.list_datasets()]
        return {
            **{name: self.database.contents(name) for name in tables if not name.endswith(LEDGER)},
            **{
                str(table.reference): self.rows(table) for found in lists for table in found if table.table_id != LEDGER
            },
            **self.cloud.objects(),
        }

    def rows(self, table: Any) -> list[tuple[Any, ...]]:
        """All rows of a BigQuery table, in an order of their own."""
        return sorted(self.cloud.rows(f"SELECT * FROM `{table.reference}`"), key=repr)


@pytest.fixture
def sinks(buses: BusSite, taxi: Database, cloud: Cloud, publish: Callable[..., Any]) -> Sinks:
    """Empty sinks; January 2021 of both colours is on the website's stand-in."""
    for found in cloud.bigquery.list_datasets():  # of other tests: the project is one for all
        cloud.bigquery.delete_dataset(found.reference, delete_contents=True)
    publish("yellow")
    publish("green")
    return Sinks(taxi, cloud)
