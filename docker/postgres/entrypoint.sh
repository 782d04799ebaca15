#!/bin/bash
# Starts Postgres with the official image's variables: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB (each also as
# NAME_FILE), POSTGRES_INITDB_ARGS, POSTGRES_HOST_AUTH_METHOD, PGDATA, and the scripts of /docker-entrypoint-initdb.d.
set -euo pipefail

from_file() { # a variable's value, or the content of the file that its _FILE twin names
  local name=$1 file="${1}_FILE"
  if [ -n "${!file:-}" ]; then
    [ -z "${!name:-}" ] || { echo "set $name or $file, not both" >&2; exit 1; }
    export "$name=$(<"${!file}")"
    unset "$file"
  fi
}

initialise() {
  if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
    echo "Postgres has no data yet and no superuser password: set POSTGRES_PASSWORD." >&2
    exit 1
  fi
  # shellcheck disable=SC2086 # the arguments are words
  initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:-}") \
    --auth-local=trust --auth-host="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" ${POSTGRES_INITDB_ARGS:-}
  echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
  echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >> "$PGDATA/pg_hba.conf"
  # Nobody may see a half-made server: only the socket until the scripts have run.
  pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
  export PGUSER=$POSTGRES_USER
  if [ "$POSTGRES_DB" != postgres ]; then
    psql -qX -v ON_ERROR_STOP=1 -v name="$POSTGRES_DB" -d postgres <<< 'CREATE DATABASE :"name"'
  fi
  export PGDATABASE=$POSTGRES_DB
  local script
  # shellcheck disable=SC1090 # the scripts are the user's
  for script in /docker-entrypoint-initdb.d/*; do
    case $script in
      *.sh) echo "running $script"; if [ -x "$script" ]; then "$script"; else . "$script"; fi ;;
      *.sql) echo "running $script"; psql -qX -v ON_ERROR_STOP=1 -f "$script" ;;
      *.sql.gz) echo "running $script"; gunzip -c "$script" | psql -qX -v ON_ERROR_STOP=1 ;;
    esac
  done
  unset PGUSER PGDATABASE
  pg_ctl -D "$PGDATA" -m fast -w stop
}

[ "${1#-}" = "$1" ] || set -- postgres "$@"
if [ "$1" = postgres ] && [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"
  chown -R postgres:postgres "$PGDATA" /var/run/postgresql
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ "$1" = postgres ]; then
  for name in POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB POSTGRES_INITDB_ARGS; do from_file "$name"; done
  export POSTGRES_USER=${POSTGRES_USER:-postgres}
  export POSTGRES_DB=${POSTGRES_DB:-$POSTGRES_USER}
  mkdir -p "$PGDATA" && chmod 700 "$PGDATA"
  [ -s "$PGDATA/PG_VERSION" ] || initialise
  unset POSTGRES_PASSWORD
fi
exec "$@"
