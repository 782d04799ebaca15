"""Prefect's server behind our log-in: `python -m control.server --host 0.0.0.0 --port 4200`.

Settings, besides Prefect's own: PREFECT_PASSWORD, PREFECT_TOKEN_KEY, PREFECT_SERVER_ENCRYPTION_KEY (see .env.example),
and PREFECT_HOSTS, the HOST:PORT under which it may be called, with commas between them.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping

import uvicorn
from cryptography.fernet import Fernet

from control.guard import Access, guarded

SECRETS = ("PREFECT_PASSWORD", "PREFECT_TOKEN_KEY", "PREFECT_SERVER_ENCRYPTION_KEY")
STOP_SECONDS = 3  # for answers that are under way: clients ask again


class SettingError(Exception):
    """A setting that the server cannot start with."""


def access_from(env: Mapping[str, str]) -> Access:
    """What the guard knows. Raises SettingError naming what is missing or cannot be."""
    if missing := [name for name in (*SECRETS, "PREFECT_HOSTS") if not env.get(name)]:
        raise SettingError(f"{', '.join(missing)}: not set. `make up` writes them into .env.")
    try:
        Fernet(env["PREFECT_SERVER_ENCRYPTION_KEY"])
    except ValueError as error:
        raise SettingError(
            "PREFECT_SERVER_ENCRYPTION_KEY is no Fernet key (32 bytes in URL-safe base64). Make one: "
            "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
        ) from error
    if not env["PREFECT_PASSWORD"].isascii():
        raise SettingError("PREFECT_PASSWORD: headers take ASCII alone.")
    hosts = frozenset(host.strip().lower() for host in env["PREFECT_HOSTS"].split(",") if host.strip())
    return Access(env["PREFECT_PASSWORD"], env["PREFECT_TOKEN_KEY"], hosts)


def settings_of_prefect(access: Access) -> dict[str, str]:
    """What Prefect must know: its pages ask whatever server they came from, and no other page may."""
    origins = ",".join(f"http://{host}" for host in sorted(access.hosts))
    return {"PREFECT_UI_API_URL": "/api", "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": origins}


def serve(host: str, port: int) -> None:
    """Serve until told to stop. Raises SettingError, WrongKey, or OSError where the database does not answer."""
    access = access_from(os.environ)
    os.environ.update(settings_of_prefect(access))
    from prefect.server.api.server import create_app  # reads its settings when it is imported
    from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

    from control.encryption import WrongKey, move_blocks
    from control.lineage import Lineage
    from control.run_rules import RunRules

    try:
        key = os.environ["PREFECT_SERVER_ENCRYPTION_KEY"]
        moved = asyncio.run(move_blocks(PREFECT_API_DATABASE_CONNECTION_URL.value(), key))
    except WrongKey as error:
        raise SettingError(str(error)) from error
    if moved:
        print(f"{moved} blocks are encrypted with PREFECT_SERVER_ENCRYPTION_KEY now.", flush=True)
    uvicorn.run(
        guarded(create_app(), access, RunRules(Lineage())),
        host=host,
        port=port,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4200)
    given = parser.parse_args()
    try:
        serve(given.host, given.port)
    except SettingError as error:
        sys.exit(f"control.server: {error}")


if __name__ == "__main__":
    main()
