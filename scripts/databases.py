"""The stack's two database servers, asked through their containers: `postgres` (the warehouse) and `prefect-db`."""

import os
import subprocess
from collections.abc import Mapping

from scripts.settings import ROOT, UserError
from scripts.stack_checks import advice

READER = "/docker-entrypoint-initdb.d/20-reader.sh"
# Over the network, as the services do: from within a password may not be asked for.
LOG_IN = 'psql -XqAt -h "$HOSTNAME" -U "$0" -d "$1" -c "SELECT 1"'


def inside(container: str, *command: str, text: str = "", env: Mapping[str, str] | None = None) -> str:
    """What a command in a container prints. env: variables that it gets, not by the command line."""
    given = [part for name in env or {} for part in ("--env", name)]
    done = subprocess.run(
        ["docker", "exec", "--interactive", *given, container, *command],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        input=text,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise UserError(f"{command[0]} in container {container[:12]} failed:\n{done.stderr.strip()}")
    return done.stdout.strip()


def sql(container: str, query: str, database: str = "postgres", **variables: str) -> str:
    """The answer to SQL, asked as the superuser; :"name" and :'name' in it are variables."""
    given = [part for name, value in variables.items() for part in ("-v", f"{name}={value}")]
    psql = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *given, "-U", "postgres", "-d", database]
    return inside(container, *psql, text=query)


def check_passwords(env: Mapping[str, str], warehouse: str, records: str) -> None:
    """Fail where the passwords of .env do not open the databases that are there."""
    for container, role, database, password in (
        (warehouse, env["WAREHOUSE_USER"], env["WAREHOUSE_DB"], "WAREHOUSE_PASSWORD"),
        (records, "prefect", "prefect", "PREFECT_DB_PASSWORD"),
    ):
        try:
            inside(container, "sh", "-c", LOG_IN, role, database, env={"PGPASSWORD": env[password]})
        except UserError as error:
            if known := advice(str(error), env["COMPOSE_PROJECT_NAME"]):
                raise UserError(f"{password} does not open database {database}. {known}") from None
            raise


def have_reader(warehouse: str) -> None:
    """Have the role that can only read, in a warehouse that is older than the role too."""
    inside(warehouse, "bash", READER)
