#!/bin/bash
# The role that reads the warehouse and can do nothing else; the map uses it. `make up` runs this each time, for the
# warehouses that are older than the role: twice is as good as once.
set -euo pipefail

if [ -n "${WAREHOUSE_READER_PASSWORD:-}" ]; then
  psql -qX -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d "$WAREHOUSE_DB" -v name="$WAREHOUSE_DB" \
    -v owner="$WAREHOUSE_USER" -v reader="$WAREHOUSE_READER_USER" <<'SQL'
\getenv password WAREHOUSE_READER_PASSWORD
BEGIN;
SELECT format('CREATE ROLE %I', :'reader') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'reader') \gexec
ALTER ROLE :"reader" LOGIN PASSWORD :'password';
ALTER ROLE :"reader" SET default_transaction_read_only = on;
GRANT CONNECT ON DATABASE :"name" TO :"reader";
-- What is there, in every schema of the warehouse, and what its jobs will make.
SELECT format('GRANT USAGE ON SCHEMA %1$I TO %2$I; GRANT SELECT ON ALL TABLES IN SCHEMA %1$I TO %2$I', nspname, :'reader')
FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' \gexec
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT USAGE ON SCHEMAS TO :"reader";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT SELECT ON TABLES TO :"reader";
COMMIT;
SQL
fi
