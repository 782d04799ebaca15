"""`python -m jobs.late_buses`: one look at the buses, with no scheduler present."""

import sys

from jobs.common.cli import main
from jobs.late_buses.flow import master_flow

if __name__ == "__main__":
    sys.exit(main(master_flow))
