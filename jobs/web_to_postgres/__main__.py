"""`python -m jobs.web_to_postgres`: the flow, with no scheduler present."""

import sys

from longshore.flows.command import main

if __name__ == "__main__":
    sys.exit(main("jobs.web_to_postgres.flow:web_to_postgres"))
