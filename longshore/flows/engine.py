"""`python -m longshore.flows.engine`: run one flow run, as `python -m prefect.engine` does. Job containers run this.

What Prefect's engine lacks: it bears with an API that is away, it keeps a time limit, and in the end the process ends.
JOB_TIMEOUT_SECONDS is the limit, from the start of the process; without it there is none.
"""

import asyncio
import logging
import os
import runpy
import sys
import threading
import time
import warnings
from collections.abc import Callable
from uuid import UUID

from prefect import get_client
from prefect._internal.compatibility.deprecated import PrefectDeprecationWarning
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.states import Crashed

from longshore.flows.api_retry import is_away, retry_while_away

SERVER_AWAY, OVERDUE = 75, 124  # exit codes: that of "try again later", and that of timeout(1)
TO_REPORT = 10.0  # seconds for the last word, while the server may be away
TO_EXIT = float(os.environ.get("JOB_EXIT_SECONDS") or 60)  # seconds between a run's end and that of the process


def main() -> None:
    """Run the flow run that PREFECT__FLOW_RUN_ID names; the process ends with its exit code."""
    retry_while_away(exhausted=give_up)
    if limit := os.environ.get("JOB_TIMEOUT_SECONDS"):
        _after(float(limit), lambda: _overdue(limit))
    logging.getLogger("prefect.flow_runs").addFilter(_ends_after_a_crash)
    warnings.filterwarnings("ignore", ".*found in sys.modules", RuntimeWarning)  # Prefect has imported its engine
    warnings.filterwarnings("ignore", category=PrefectDeprecationWarning)  # its engine warns of its own functions
    code = 1
    try:
        runpy.run_module("prefect.engine", run_name="__main__")
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        raise
    finally:
        _after(TO_EXIT, lambda: _end(code, f"The run has ended, but not its process, {TO_EXIT:g} s later."))


def _after(seconds: float, call: Callable[[], object]) -> None:
    """Call it after these seconds, whatever the other threads wait for."""

    def wait() -> None:
        time.sleep(seconds)
        call()

    threading.Thread(target=wait, daemon=True).start()


def _end(code: int, why: str) -> None:
    """End the process at once: no lock, thread or handler is waited for. Its connections end, so do transactions."""
    print(why, file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(code)


def give_up(why: str) -> None:
    """End the process, as the API was away for too long: `retry_while_away` says for how long."""
    _end(SERVER_AWAY, f"{why} The run ends here; what it had not committed is rolled back. Run it again.")


def _overdue(limit: str) -> None:
    why = f"longer than its time limit of {limit} s"
    report = threading.Thread(target=lambda: asyncio.run(_report(why)), daemon=True)
    report.start()
    report.join(TO_REPORT)
    _end(OVERDUE, f"The run took {why}, and is ended; what it had not committed is rolled back.")


async def _report(why: str) -> None:
    """Tell the server that the run has crashed, and all that was running within it."""
    async with get_client() as client:
        await _crash(client, UUID(os.environ["PREFECT__FLOW_RUN_ID"]), why)


async def _crash(client: PrefectClient, run: UUID, why: str) -> None:
    # The server refuses it for what has ended already.
    await client.set_flow_run_state(run, Crashed(message=why))
    for task in await client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run]))):
        if task.state and (subflow := task.state.state_details.child_flow_run_id):
            await _crash(client, subflow, why)
        await client.set_task_run_state(task.id, Crashed(message=why))


def _ends_after_a_crash(record: logging.LogRecord) -> bool:
    """A filter that lets all pass. Prefect's engine can wait for ever for tasks of a run whose crash it has told of."""
    ours = getattr(record, "flow_run_id", None) == os.environ.get("PREFECT__FLOW_RUN_ID")
    if ours and record.getMessage().startswith("Crash detected!"):
        _after(TO_EXIT, _crashed)
    return True


def _crashed() -> None:
    while is_away():  # the crash is yet to be told; that has an end of its own
        time.sleep(1)
    _end(1, f"The run has crashed, but its process has not ended {TO_EXIT:g} s later.")


if __name__ == "__main__":
    main()
