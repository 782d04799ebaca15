"""Web to BigQuery in one flow."""

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.etl_parent import flow as parent
from jobs.etl_parent.flow import etl_parent_flow
from tests.conftest import Cloud, Database

FEBRUARY = "data/yellow/yellow_tripdata_2021-02.parquet"


def run(cloud: Cloud, **parameters: Any) -> Any:
    """The flow's final state."""
    return etl_parent_flow(dataset=cloud.dataset, **parameters, return_state=True)


def said(state: Any) -> list[tuple[str, str]]:
    """What its reports say."""
    return [(report.file, report.status) for report in state.result(raise_on_failure=False)]


def test_its_defaults_are_the_published_ones() -> None:
    defaults = {name: parameter.default for name, parameter in inspect.signature(etl_parent_flow.fn).parameters.items()}
    assert etl_parent_flow.name == "etl-parent-flow"
    assert {"months": [1, 2], "year": 2021, "color": "yellow"}.items() <= defaults.items()


def test_every_row_of_each_month_reaches_bigquery(taxi: Database, cloud: Cloud, publish: Callable[..., Any]) -> None:
    rows = sum(publish(month=month).rows for month in (1, 2))
    state = run(cloud)
    assert state.is_completed(), state.message
    months = ["yellow 2021-01", "yellow 2021-02"]
    assert said(state) == [(month, "loaded") for month in months * 2]
    before = cloud.contents("rides"), cloud.objects()
    assert len(before[0]) == rows
    assert said(run(cloud)) == [(month, "unchanged") for month in months * 2]
    assert said(run(cloud, force=True)) == [(month, "loaded") for month in months * 2]
    assert (cloud.contents("rides"), cloud.objects()) == before


def test_a_month_that_cannot_be_copied_does_not_keep_the_next_from_being_loaded(
    taxi: Database, cloud: Cloud, publish: Callable[..., Any]
) -> None:
    expected = publish(month=2)
    state = run(cloud)
    assert state.is_failed()
    assert state.message.startswith("1 of 3 failed. yellow 2021-01: ")
    assert said(state) == [("yellow 2021-01", "failed"), ("yellow 2021-02", "loaded"), ("yellow 2021-02", "loaded")]
    assert list(cloud.objects()) == [FEBRUARY]
    assert len(cloud.contents("rides")) == expected.rows


def test_a_late_run_takes_the_month_before_its_schedule_in_both_steps(
    taxi: Database, cloud: Cloud, publish: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(month=2)
    monkeypatch.setattr(parent, "scheduled_start", lambda: datetime(2021, 3, 1, 10, tzinfo=UTC))
    state = run(cloud, months=None, year=None)
    assert state.is_completed(), state.message
    assert said(state) == [("yellow 2021-02", "loaded")] * 2


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [({"months": [13]}, "No such month: 2021-13."), ({"color": "blue"}, "There are no 'blue' taxi trips.")],
    ids=str,
)
def test_what_cannot_be_copied_ends_with_its_reason(
    parameters: dict[str, Any], reason: str, taxi: Database, cloud: Cloud
) -> None:
    state = run(cloud, **parameters)
    assert state.is_failed()
    assert state.message.startswith(reason)


def test_what_was_copied_is_told_when_nothing_can_be_loaded(
    taxi: Database, cloud: Cloud, publish: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(month=1)
    monkeypatch.delenv("GCP_PROJECT")
    state = run(cloud, months=[1])
    assert state.is_failed()
    assert "gcp-credentials/zoom-gcp-creds" in state.message
    assert said(state)[0] == ("yellow 2021-01", "loaded")
