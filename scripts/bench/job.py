"""Run a job as `python -m jobs.<name>` does, and print what its report says to the millisecond.

It runs in the job's own environment: no import here that the job does not have.
"""

import json
import sys

from longshore.flows.command import imported, run_alone
from longshore.flows.options import parser


def main(name: str, *arguments: str) -> int:
    """0: all was loaded."""
    flow = imported(f"jobs.{name}.flow:{name}")
    ended = run_alone(flow, vars(parser(flow.fn, name).parse_args(arguments)))
    if not ended.completed:
        return 1
    (report,) = ended.reports
    print(json.dumps({"seconds": report.seconds, "bytes": report.bytes}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
