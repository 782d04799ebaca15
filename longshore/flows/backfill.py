"""Backfill: a run of its own for each month, so that many workers and machines share the work."""

import asyncio
from dataclasses import dataclass
from datetime import date
from typing import Any

from prefect import get_client, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import FlowRun
from prefect.deployments.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed, Failed, State
from prefect.utilities.schema_tools.validation import ValidationError, validate

from longshore.errors import LoadError, UsageError

POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Ended:
    """How a month ended: the last run that was started for it."""

    month: date
    deployment: str
    run: FlowRun

    @property
    def completed(self) -> bool:
        return self.run.state is not None and self.run.state.is_completed()

    def row(self) -> dict[str, str]:
        state = self.run.state
        return {
            "month": f"{self.month:%Y-%m}",
            "deployment": self.deployment,
            "run": self.run.name,
            "state": (state and state.name) or "",
            "message": (state and state.message) or "",
        }


async def run_months(
    start: str, end: str, deployments: list[str], parameters: dict[str, Any], at_most: int
) -> State[Any]:
    """Run deployments for each month of a span; the state of the flow that does."""
    try:
        months = months_between(start, end)
        if at_most < 1 or not deployments:
            raise UsageError("at_most and deployments: at least one month and one deployment must be able to run.")
        for name in deployments:
            await check(name, {**parameters, "year": months[0].year, "months": [months[0].month]})
    except LoadError as error:
        return Failed(message=str(error))
    free = asyncio.Semaphore(at_most)

    async def one(month: date) -> Ended:
        async with free:
            return await run_month(month, deployments, parameters)

    done = await asyncio.gather(*map(one, months))
    rows = [month.row() for month in done]
    await create_table_artifact(key="backfill", table=rows, description="How each month's last run ended.")
    if failed := [month.row() for month in done if not month.completed]:
        said = " ".join("{month}: {deployment}, run {run}: {state}. {message}".format(**row) for row in failed)
        return Failed(message=f"{len(failed)} of {len(done)} months failed. {said}", data=rows)
    return Completed(message=f"{len(done)} months completed", data=rows)


def months_between(start: str, end: str) -> list[date]:
    """The first days of the months from start to end, both included. Raises UsageError when there are none."""
    try:
        first, last = (date.fromisoformat(f"{text}-01") for text in (start, end))
    except ValueError as error:
        raise UsageError(f"start and end are months, YYYY-MM, not {start!r} and {end!r}.") from error
    if first > last:
        raise UsageError(f"start {start} is after end {end}.")
    numbers = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    return [date(number // 12, number % 12 + 1, 1) for number in numbers]


async def check(name: str, parameters: dict[str, Any]) -> None:
    """Raise LoadError where there is no such deployment, or its flow does not take these parameters."""
    async with get_client() as client:
        try:
            deployment = await client.read_deployment_by_name(name)
        except ObjectNotFound as error:
            url = PREFECT_API_URL.value()
            where = f"at {url}; `make deploy` registers the jobs'" if url else "here; set PREFECT_API_URL to a server's"
            raise LoadError(f"There is no deployment {name} {where}.") from error
    schema = deployment.parameter_openapi_schema or {}
    known = schema.get("properties", {})
    if unknown := [parameter for parameter in parameters if parameter not in known]:
        raise LoadError(f"{name} takes no {' and no '.join(unknown)}; it takes {', '.join(known) or 'nothing'}.")
    try:
        validate(parameters, schema, raise_on_error=True)
    except ValidationError as error:
        raise LoadError(f"{name} does not take these parameters: {error}") from error


async def run_month(month: date, deployments: list[str], parameters: dict[str, Any]) -> Ended:
    """Run the deployments for one month, one after the other, up to the first that does not complete."""
    given = {**parameters, "year": month.year, "months": [month.month]}
    for name in deployments:
        ended = Ended(month, name, await run_once(name, f"{name.split('/')[0]} {month:%Y-%m}", given))
        get_run_logger().info("{month}: {deployment}, run {run}: {state}. {message}".format(**ended.row()))
        if not ended.completed:
            break
    return ended


async def run_once(name: str, title: str, parameters: dict[str, Any]) -> FlowRun:
    """Run a deployment to its end. A run that an earlier try of this backfill started is waited for, not repeated."""
    for attempt in range(1, flow_run.run_count + 1):
        run: FlowRun = await run_deployment(
            name,
            parameters=parameters,
            flow_run_name=title,
            idempotency_key=f"{flow_run.id} {name} {title} {attempt}",
            poll_interval=POLL_SECONDS,
        )
        if run.state and run.state.is_completed():
            break
    return run
