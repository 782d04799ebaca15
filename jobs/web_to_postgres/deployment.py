"""How web-to-Postgres is run: on the first of the month, for the month before."""

from workpools.job import Cron, JobDeployment

MONTHLY = JobDeployment(
    job="web-to-postgres",
    entrypoint="jobs/web_to_postgres/flow.py:web_to_postgres",
    name="monthly",
    description="Loads the taxi rides of the month before into Postgres, each file exactly once.",
    schedule=Cron("0 5 1 * *", "America/New_York"),
    parameters={"color": "yellow"},
    memory_mib=1024,
    settings=("TAXI_URL",),
    reaches=("web", "warehouse"),
    blocks=("sqlalchemy-connector/postgres-connector",),
    trial={"color": "yellow", "year": 2021, "months": [1]},
)
DEPLOYMENTS = (MONTHLY,)
