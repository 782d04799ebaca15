"""One file into Postgres, and through the bucket into BigQuery: the same rows, by value, in all three."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from standins.web.server import Site
from tests.conftest import Cloud, Database
from tests.integration.bigquery_loading import load_objects
from tests.integration.loading import load_file, put
from tests.integration.test_lake import PATH, copy_file, table
from tests.integration.test_load_values import VALUES, csv_file, key

Row = tuple[Any, ...]


@st.composite
def files(draw: st.DrawFn) -> tuple[dict[str, str], list[Row]]:
    """Columns with their SQL types, and rows of values that fit; nulls anywhere."""
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=2, max_size=8))  # of one, null is an empty line
    rows = draw(st.lists(st.tuples(*(st.none() | VALUES[kind] for kind in kinds)), min_size=1, max_size=10))
    return {f"c{number}": kind for number, kind in enumerate(kinds)}, rows


def values(rows: Iterable[Row]) -> list[str]:
    """The rows in an order of their own; a number is the same with more zeros."""
    return sorted(key([v.normalize() if isinstance(v, Decimal) else v for v in row]) for row in rows)


def test_rows_in_are_rows_out_on_every_sink(database: Database, cloud: Cloud, site: Site) -> None:
    numbers = iter(range(1_000_000))

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(files())
    def check(file: tuple[dict[str, str], list[Row]]) -> None:
        columns, rows = file
        name = f"t{next(numbers)}"
        url = put(site, f"{name}.csv", csv_file(columns, rows))
        load_file(database, url, table=name, columns=columns)
        copy_file(cloud, url, columns, force=True)
        load_objects(cloud, f"gs://{cloud.bucket.name}/{PATH}", table=name, slice=name)
        # Postgres would write a real in few digits; as a double it shows its value.
        doubles = ", ".join(c + "::double precision" * (sql == "real") for c, sql in columns.items())
        wanted = values(rows)
        assert values(database.rows(f"SELECT {doubles} FROM {name}")) == wanted
        assert values(zip(*table(cloud).to_pydict().values(), strict=True)) == wanted
        assert values(cloud.rows(f"SELECT {', '.join(columns)} FROM {name}")) == wanted

    check()
