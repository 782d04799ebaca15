"""How web-to-GCS is run by itself: the parent flow runs it an hour before; what is there is skipped."""

from workpools.job import Cron, JobDeployment

MONTHLY = JobDeployment(
    job="web-to-gcs",
    entrypoint="jobs/web_to_gcs/flow.py:web_to_gcs",
    name="monthly",
    description="Copies the taxi rides of the month before into the bucket, as Parquet, each file exactly once.",
    schedule=Cron("0 6 1 * *", "America/New_York"),
    parameters={"color": "yellow"},
    memory_mib=1024,
    settings=("TAXI_URL", "STORAGE_EMULATOR_HOST"),
    reaches=("web", "cloud"),
    blocks=("gcs-bucket/zoom-gcs",),
    trial={"color": "yellow", "year": 2021, "months": [1]},
)
DEPLOYMENTS = (MONTHLY,)
