"""Run a job's deployment and follow it: its states and its log, until it ends. The exit code tells how.

0: completed. 1: failed, crashed or cancelled. 2: not started, because the call was wrong.
"""

import argparse
import asyncio
import difflib
import json
import logging
from typing import Any
from uuid import UUID

from scripts.api import PAGE, connected, end_with, every, page  # first: it quietens Prefect
from scripts.prefect_command import prefect
from scripts.settings import UserError

# isort: split
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import LogSort
from prefect.exceptions import PrefectHTTPStatusError


def read_params(text: str) -> dict[str, Any]:
    """The JSON object of parameters."""
    try:
        params = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise UserError(f"PARAMS is not JSON: {error}\n  {text}\nExample: PARAMS='{{\"months\": [1]}}'") from error
    if not isinstance(params, dict):
        raise UserError(f'PARAMS must be a JSON object such as {{"months": [1]}}, not {text}')
    return params


def check_params(params: dict[str, Any], deployment: DeploymentResponse) -> None:
    """Refuse parameters that the flow does not have, and name the ones it has."""
    known = list((deployment.parameter_openapi_schema or {}).get("properties", {}))
    for name in params:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise UserError(f"{deployment.name}: no parameter {name!r}.{hint} There are: {', '.join(known)}")


async def find_deployment(client: PrefectClient, job: str) -> DeploymentResponse:
    """The deployment of a job, given as JOB, FLOW or FLOW/NAME."""
    flows = {flow.id: flow.name for flow in await every(client.read_flows)}
    paths = {f"{flows[one.flow_id]}/{one.name}": one for one in await every(client.read_deployments)}
    matching = [path for path, found in paths.items() if job in (path, path.split("/")[0], *found.tags)]
    if len(matching) != 1:
        known = ", ".join(sorted(matching or paths)) or "none yet, see `make deploy`"
        raise UserError(f"JOB={job}: {'which one' if matching else 'no such job'}? There are: {known}")
    return paths[matching[0]]


async def create_run(client: PrefectClient, job: str, params: dict[str, Any]) -> FlowRun:
    """Start a run; a wrong job or parameter is the caller's mistake."""
    deployment = await find_deployment(client, job)
    check_params(params, deployment)
    try:
        return await client.create_flow_run_from_deployment(deployment.id, parameters=params)
    except PrefectHTTPStatusError as error:
        if error.response.status_code not in (409, 422):
            raise
        raise UserError(f"PARAMS do not fit: {error.response.json().get('detail', error)}") from error


async def follow(client: PrefectClient, run_id: UUID) -> State[Any]:
    """Print states and log lines as they come; the state at the end."""
    shown, last, ended = 0, None, 0
    while True:
        run = await client.read_flow_run(run_id)
        state = run.state
        assert state is not None  # a run always has one
        if (state.type, state.name) != last:
            last = (state.type, state.name)
            print(f"-- {state.name}{f': {state.message}' if state.message else ''}", flush=True)
        shown += await show_logs(client, run_id, shown)
        # The last lines arrive a moment after the last state: the engine sends them in batches.
        ended += state.is_final()
        if ended > 3:
            return state
        await asyncio.sleep(0.7)


async def show_logs(client: PrefectClient, run_id: UUID, shown: int) -> int:
    """Print the log lines after the first `shown`; how many they were."""
    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))
    count = 0
    while True:
        lines = await client.read_logs(wanted, limit=PAGE, offset=shown + count, sort=LogSort.TIMESTAMP_ASC)
        for line in lines:
            stamp = line.timestamp.in_timezone("local").format("HH:mm:ss")
            print(f"{stamp} {logging.getLevelName(line.level):8} {line.message}", flush=True)
        count += len(lines)
        if len(lines) < PAGE:
            return count


async def run(job: str, params: dict[str, Any]) -> int:
    """Start, follow, and turn the last state into an exit code."""
    async with connected() as client:
        started = await create_run(client, job, params)
        print(f"run {started.name}: {page('flow-runs', 'flow-run', started.id)}", flush=True)
        try:
            state = await follow(client, started.id)
        except asyncio.CancelledError:
            print(
                f"\nNo longer following; run {started.name} goes on. To stop it:"
                f"\n  {prefect('flow-run', 'cancel', started.id)}"
            )
            raise
    return 0 if state.is_completed() else 1


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job", help="JOB, or FLOW/DEPLOYMENT where it has several")
    parser.add_argument("--params", default="{}", help='parameters as JSON, such as {"months": [1]}')
    args = parser.parse_args()
    end_with(lambda: run(args.job, read_params(args.params)))


if __name__ == "__main__":
    main()
