"""`python -m jobs.late_buses`: one look at the buses, with no scheduler present."""

import sys

from longshore.flows.command import main

if __name__ == "__main__":
    sys.exit(main("jobs.late_buses.flow:master_flow"))
