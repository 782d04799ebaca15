"""Runs that were due while another was going on: skipped, not queued."""

from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.runtime import deployment, flow_run
from prefect.states import Cancelled

from longshore.backoff import Log


def skip_overdue(log: Log) -> int:
    """Take away this deployment's runs that should have begun by now; how many. None outside of a deployment.

    The work queue's limit keeps them from starting beside this run. Called at its beginning and at its end, this keeps
    them from starting after it: the data that they were meant for are past, and the next run is due in a moment.
    """
    if not deployment.id:
        return 0
    mine = DeploymentFilter(id=DeploymentFilterId(any_=[UUID(deployment.id)]))
    due = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]), name=None),
        next_scheduled_start_time=FlowRunFilterNextScheduledStartTime(before_=datetime.now(UTC)),
    )
    skipped = 0
    with get_client(sync_client=True) as client:
        for late in client.read_flow_runs(flow_run_filter=due, deployment_filter=mine):
            if str(late.id) == flow_run.id or not late.auto_scheduled:  # somebody waits for one started by hand
                continue
            client.set_flow_run_state(late.id, Cancelled(name="Skipped", message="The run before was still going on."))
            skipped += 1
    if skipped:
        log.info("%d run(s) that were due meanwhile are skipped.", skipped)
    return skipped
