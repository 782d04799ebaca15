"""Rows in are rows out, by value: any type, nulls anywhere, columns in any order."""

import math
from itertools import count
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longshore.schemas import declared_schema
from longshore.sinks.bigquery.sql import literal
from tests.conftest import Cloud
from tests.integration.bigquery_loading import load_objects, put_object
from tests.integration.test_load_values import VALUES

few = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Rows, some null, of columns of any types."""
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=6))
    columns = {f"c{number}": kind for number, kind in enumerate(kinds)}
    row = st.fixed_dictionaries({name: st.none() | VALUES[kind] for name, kind in columns.items()})
    return pa.Table.from_pylist(draw(st.lists(row, max_size=20)), schema=declared_schema(columns))


def test_rows_arrive_by_value(cloud: Cloud) -> None:
    numbers = count()

    @few
    @given(tables())
    def check(table: pa.Table) -> None:
        name = f"t{next(numbers)}"
        report = load_objects(cloud, put_object(cloud, f"{name}.parquet", table), name)
        assert report.rows_loaded == table.num_rows
        found = cloud.rows(f"SELECT {', '.join(table.column_names)} FROM {name}")
        assert sorted(found, key=repr) == sorted((tuple(row.values()) for row in table.to_pylist()), key=repr)

    check()


def test_numbers_that_are_no_numbers_arrive(cloud: Cloud) -> None:
    load_objects(cloud, put_object(cloud, "x.parquet", pa.table({"x": [math.nan, math.inf, -math.inf, None]})))
    found = [x for (x,) in cloud.rows("SELECT x FROM t")]
    assert sorted(map(repr, found)) == ["-inf", "None", "inf", "nan"]


def test_texts_in_a_script_mean_themselves(cloud: Cloud) -> None:
    @few
    @given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
    def check(text: str) -> None:
        found: Any = cloud.bigquery.query_and_wait(f"SELECT 1; SELECT {literal(text)}", job_retry=None)
        assert [tuple(row.values()) for row in found] == [(text,)]

    check()
