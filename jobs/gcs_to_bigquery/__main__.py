"""`python -m jobs.gcs_to_bigquery`: the flow with no scheduler present."""

import sys

from jobs.common.cli import main
from jobs.gcs_to_bigquery.flow import gcs_to_bigquery

if __name__ == "__main__":
    sys.exit(main(gcs_to_bigquery))
