"""Backfill of the taxi trips: a run of its own for each month, so that many workers and machines share the work."""

from typing import Any

from prefect import flow

from longshore.flows.backfill import run_months


@flow(name="backfill")
async def backfill(
    start: str = "2021-01",
    end: str = "2021-07",
    deployments: list[str] = ["etl-parent-flow/monthly"],  # noqa: B006 - never written to
    parameters: dict[str, Any] = {},  # noqa: B006 - never written to
    at_most: int = 4,
) -> Any:
    """Run deployments once for each month, at most so many months at once, and wait for all of them.

    A month that fails does not keep the others from running. Cancelled, this run takes those along that it has started;
    killed or crashed, it leaves them running. Retried, it waits for them, and starts again only months that failed. A
    new backfill starts a run for every month, which finds what is unchanged.

    Args:
        start: The first month, YYYY-MM.
        end: The last month, YYYY-MM.
        deployments: What to run for a month, FLOW/DEPLOYMENT: one after the other, as long as they complete.
        parameters: Of those runs, besides year and months, such as {"color": "green", "force": true}.
        at_most: How many months run at once; the limits of work queues and workers count as well.
    """
    return await run_months(start, end, deployments, parameters, at_most)
