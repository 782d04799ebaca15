"""`python -m jobs.etl_parent`: web to GCS, then GCS to BigQuery, with no scheduler present."""

import sys

from jobs.common.cli import main
from jobs.etl_parent.flow import etl_parent_flow

if __name__ == "__main__":
    sys.exit(main(etl_parent_flow))
