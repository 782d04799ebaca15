"""`python -m jobs.web_to_gcs`: the flow with no scheduler present."""

import sys

from jobs.common.cli import main
from jobs.web_to_gcs.flow import web_to_gcs

if __name__ == "__main__":
    sys.exit(main(web_to_gcs))
