"""How both core flows are run in one go: each month for the month before, and as a backfill of many months."""

from workpools.job import Cron, JobDeployment

MONTHLY = JobDeployment(
    job="etl-parent",
    entrypoint="jobs/etl_parent/flow.py:etl_parent_flow",
    name="monthly",
    description="Takes the taxi rides of the month before from the web through the bucket into BigQuery.",
    schedule=Cron("0 5 1 * *", "America/New_York"),
    # The flow's defaults are two months of 2021; null means the month before.
    parameters={"months": None, "year": None, "color": "yellow"},
    memory_mib=1024,
    concurrency=4,  # as many months as a backfill runs at once
    settings=("TAXI_URL", "STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST"),
    reaches=("web", "cloud"),
    blocks=("gcs-bucket/zoom-gcs", "gcp-credentials/zoom-gcp-creds"),
    runs=("web-to-gcs", "gcs-to-bigquery"),
    trial={"months": [1], "year": 2021, "color": "yellow"},
)
# In a work queue of its own, as every flow: it waits for runs that it must not keep from starting.
BACKFILL = JobDeployment(
    job="etl-parent",
    entrypoint="jobs/etl_parent/backfill.py:backfill",
    name="backfill",
    description="Runs a deployment once for each month of a span, several months at once.",
    memory_mib=512,
    starts=("etl-parent-flow/monthly", "web-to-gcs/monthly", "gcs-to-bigquery/monthly", "web-to-postgres/monthly"),
)
DEPLOYMENTS = (MONTHLY, BACKFILL)
