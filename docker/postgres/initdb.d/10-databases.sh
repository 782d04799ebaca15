#!/bin/bash
# A database with a role of its own, which nobody else can enter: Prefect's records or the warehouse, whichever has a
# password here. Runs once, on an empty volume.
set -euo pipefail

# Passwords come from the environment, by \getenv: what is in a command line can be read by everybody on the machine.
make_database() { # database, role, variable of the password
  psql -qX -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d "${POSTGRES_DB:-postgres}" -v name="$1" -v role="$2" <<SQL
\getenv password $3
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"role";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

if [ -n "${PREFECT_DB_PASSWORD:-}" ]; then
  make_database "$PREFECT_DB" "$PREFECT_DB" PREFECT_DB_PASSWORD
fi
if [ -n "${WAREHOUSE_PASSWORD:-}" ]; then
  make_database "$WAREHOUSE_DB" "$WAREHOUSE_USER" WAREHOUSE_PASSWORD
fi
