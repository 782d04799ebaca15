"""How GCS-to-BigQuery is run: by its parent flow, and once a month in case that did not."""

from workpools.job import Cron, JobDeployment

MONTHLY = JobDeployment(
    job="gcs-to-bigquery",
    entrypoint="jobs/gcs_to_bigquery/flow.py:gcs_to_bigquery",
    name="monthly",
    description="Loads the taxi rides of the month before from the bucket into BigQuery, each object exactly once.",
    schedule=Cron("0 7 1 * *", "America/New_York"),
    parameters={"color": "yellow"},
    memory_mib=384,
    settings=("STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST"),
    reaches=("cloud",),
    blocks=("gcs-bucket/zoom-gcs", "gcp-credentials/zoom-gcp-creds"),
    trial={"color": "yellow", "year": 2021, "months": [1]},
    after=("web-to-gcs",),
)
DEPLOYMENTS = (MONTHLY,)
