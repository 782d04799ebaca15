"""`python -m jobs.etl_parent`: web to GCS, then GCS to BigQuery, with no scheduler present."""

import sys

from longshore.flows.command import main

if __name__ == "__main__":
    sys.exit(main("jobs.etl_parent.flow:etl_parent_flow"))
