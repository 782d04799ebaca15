"""`python -m jobs.web_to_gcs`: the flow, with no scheduler present."""

import sys

from longshore.flows.command import main

if __name__ == "__main__":
    sys.exit(main("jobs.web_to_gcs.flow:web_to_gcs"))
