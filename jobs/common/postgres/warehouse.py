"""Which Postgres to load into: the environment's, or a Prefect block's."""

import os

from prefect_sqlalchemy import SqlAlchemyConnector
from sqlalchemy import Engine, NullPool, create_engine, make_url
from sqlalchemy.exc import ArgumentError

from jobs.common.errors import LoadError

CONNECT_ARGS = {"connect_timeout": 10, "application_name": "longshore"}


def engine(block: str) -> Engine:
    """An engine for WAREHOUSE_URL where it is set, else for the SqlAlchemyConnector block of that name."""
    url = os.environ.get("WAREHOUSE_URL")
    if not url:
        try:
            connector = SqlAlchemyConnector.load(block)
        except ValueError as error:
            raise LoadError(
                f"There is no block sqlalchemy-connector/{block}, and WAREHOUSE_URL is not set."
                " Register the block with `make deploy`, or set WAREHOUSE_URL=postgresql://USER:PASSWORD@HOST/DATABASE."
            ) from error
        url = connector._rendered_url.render_as_string(hide_password=False)
    try:
        parsed = make_url(url).set(drivername="postgresql+psycopg2")
    except (ArgumentError, ValueError):  # their words may hold parts of the password
        raise LoadError("WAREHOUSE_URL is no database URL: postgresql://USER:PASSWORD@HOST/DATABASE.") from None
    return create_engine(parsed, connect_args=CONNECT_ARGS, poolclass=NullPool)  # a load ends with its connection
