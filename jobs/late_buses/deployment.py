"""How the buses are watched: every 30 seconds, with a new timetable every morning after it is published."""

from workpools.job import Cron, Every, JobDeployment

SETTINGS = ("BUS_FEED_URL", "BUS_TIMETABLE_URL", "STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST")
BUCKET = "gcs-bucket/zoom-gcs"

LIVE = JobDeployment(
    job="late-buses",
    entrypoint="jobs/late_buses/flow.py:master_flow",
    name="master__flow",
    description="Looks where the buses of Leeds are, lists those that are late for the map, and keeps them as history.",
    schedule=Every(30),
    timeout_seconds=600,
    settings=SETTINGS,
    needs=("BODS_API_KEY",),
    reaches=("web", "cloud", "warehouse"),
    blocks=(BUCKET, "secret/bods-api-key", "gcp-credentials/zoom-gcp-creds", "sqlalchemy-connector/postgres-connector"),
    trial={"now": "2026-02-04T08:40:00+00:00", "sinks": ["bigquery", "postgres"]},
)
TIMETABLES = JobDeployment(
    job="late-buses",
    entrypoint="jobs/late_buses/flow.py:get_bus_timetables",
    name="daily",
    description="Takes the stop times of one bus company out of its region's timetable.",
    schedule=Cron("30 6 * * *", "Europe/London"),
    timeout_seconds=1800,
    settings=SETTINGS,
    reaches=("web", "cloud"),
    blocks=(BUCKET,),
)
DEPLOYMENTS = (LIVE, TIMETABLES)
