"""Run a job as `python -m jobs.<name>` does, and print what its report says to the millisecond.

It runs in the job's own environment: no import here that the job does not have.
"""

import importlib
import json
import sys
import warnings
from typing import Any

from jobs.common.cli import parser


def main(name: str, *arguments: str) -> int:
    """0: all was loaded."""
    flow: Any = getattr(importlib.import_module(f"jobs.{name}.flow"), name)
    warnings.simplefilter("ignore")  # as the job itself does
    state = flow(**vars(parser(flow).parse_args(arguments)), return_state=True)
    if not state.is_completed():
        return 1
    (report,) = state.result()
    print(json.dumps({"seconds": report.seconds, "bytes": report.bytes}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
