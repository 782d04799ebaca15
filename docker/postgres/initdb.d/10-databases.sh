#!/bin/bash
# Two databases, each with a role of its own that can't enter the other's: Prefect's records and the warehouse.
set -euo pipefail

make_database() { # database, role, password
  psql -qX -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d "${POSTGRES_DB:-postgres}" \
    -v name="$1" -v role="$2" -v password="$3" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"role";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

make_database "$PREFECT_DB" "$PREFECT_DB" "$PREFECT_DB_PASSWORD"
make_database "$WAREHOUSE_DB" "$WAREHOUSE_USER" "$WAREHOUSE_PASSWORD"
