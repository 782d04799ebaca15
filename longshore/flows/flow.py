"""`@flow`: a function that is a Prefect flow, or, on the command line without Prefect, runs as it is."""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from longshore.flows.runner import Ended, Runner, outcome, runner, running
from longshore.report import Report

_plain = False


@contextmanager
def without_prefect() -> Iterator[None]:
    """Flows that are made within (modules that are imported) need no Prefect."""
    global _plain
    before, _plain = _plain, True
    try:
        yield
    finally:
        _plain = before


def flow(*, name: str) -> Callable[[Callable[..., Sequence[Report]]], Any]:
    """Make a flow of a function that returns the reports of its steps. name: in Prefect.

    The flow ends as completed when no report is of a failure, and as failed where the function raises LoadError.
    """

    def made(function: Callable[..., Sequence[Report]]) -> Any:
        if _plain:
            return PlainFlow(function, name)
        from longshore.flows.prefect_runner import prefect_flow

        return prefect_flow(function, name)

    return made


class PlainFlow:
    """A flow that this process runs by itself."""

    def __init__(self, function: Callable[..., Sequence[Report]], name: str) -> None:
        self.fn, self.name = function, name

    def __call__(self, *args: Any, **kwargs: Any) -> Ended:
        """Run it, by whoever runs the flow that calls it; how it ended."""
        return self.run(runner(), *args, **kwargs)

    def run(self, by: Runner, *args: Any, **kwargs: Any) -> Ended:
        """Run it by this runner."""
        with running(by):
            return outcome(functools.partial(self.fn, *args, **kwargs))


def subflow(flow: Any, *args: Any, **kwargs: Any) -> Ended:
    """Run a flow within another one; how it ended."""
    if isinstance(flow, PlainFlow):
        return flow(*args, **kwargs)
    from longshore.flows.prefect_runner import ended

    return ended(flow(*args, **kwargs, return_state=True))
