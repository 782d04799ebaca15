"""`python -m jobs.gcs_to_bigquery`: the flow, with no scheduler present."""

import sys

from longshore.flows.command import main

if __name__ == "__main__":
    sys.exit(main("jobs.gcs_to_bigquery.flow:gcs_to_bigquery"))
