"""`python -m jobs.web_to_postgres`: the flow with no scheduler present."""

import sys

from jobs.common.cli import main
from jobs.web_to_postgres.flow import web_to_postgres

if __name__ == "__main__":
    sys.exit(main(web_to_postgres))
