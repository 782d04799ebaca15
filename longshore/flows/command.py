"""A flow's command line: one option for each parameter, and an exit code that tells how it ended.

0: completed, 1: failed, 2: wrong usage, 130: stopped by Ctrl-C.
"""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from longshore.flows.flow import PlainFlow, without_prefect
from longshore.flows.options import parser
from longshore.flows.runner import Ended, Rehearsal, Rehearsed


def main(flow: str, arguments: Sequence[str] | None = None) -> int:
    """Run the flow MODULE:NAME: in this process alone, or with Prefect where --prefect or PREFECT_API_URL says so."""
    plain = imported(flow)
    options = with_prefect(parser(plain.fn, f"python -m {flow.rpartition('.')[0]}"))
    given = vars(options.parse_args(arguments))
    prefect = given.pop("prefect")
    try:
        ended = plain.run(Rehearsal(), **given)
    except Rehearsed:
        ended = run_with_prefect(flow, given) if prefect else run_alone(plain, given)
    if ended.wrong_usage:
        options.error(ended.message)
    return 0 if ended.completed else 1


def imported(flow: str) -> PlainFlow:
    """The flow, which needs no Prefect."""
    module, _, name = flow.partition(":")
    _forget_flows()
    with without_prefect():
        found: PlainFlow = getattr(import_module(module), name)
    return found


def with_prefect(options: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The options, and the one that is not the flow's."""
    options.add_argument(
        "--prefect",
        action=argparse.BooleanOptionalAction,
        default=bool(os.environ.get("PREFECT_API_URL")),
        help="Run as a flow run of Prefect: at PREFECT_API_URL, or without it in a server of this process",
    )
    return options


def run_alone(flow: PlainFlow, given: dict[str, Any]) -> Ended:
    """Run it in this process, and log to the terminal."""
    log = logging.getLogger("longshore")
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("{asctime} | {levelname:7} | {message}", "%H:%M:%S", "{"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
    try:
        ended = flow(**given)
    except KeyboardInterrupt:
        log.error("Stopped. What was being loaded is as it was before.")
        sys.exit(130)
    if not ended.wrong_usage:
        log.log(logging.INFO if ended.completed else logging.ERROR, "%s", ended.message)
    return ended


def run_with_prefect(flow: str, given: dict[str, Any]) -> Ended:
    """Run it as a flow run of Prefect's."""
    from longshore.flows.api_retry import retry_while_away
    from longshore.flows.engine import give_up
    from longshore.flows.prefect_runner import ended

    module, _, name = flow.partition(":")
    retry_while_away(exhausted=give_up)
    warnings.simplefilter("ignore")  # Prefect's own database migrations warn
    _forget_flows()
    return ended(getattr(import_module(module), name)(**given, return_state=True))


def _forget_flows() -> None:
    """Flows are made when their modules are imported, with Prefect or without it: import them anew."""
    for name in [name for name in sys.modules if name.startswith("jobs.")]:
        if name.rpartition(".")[2] != "__main__":
            del sys.modules[name]
