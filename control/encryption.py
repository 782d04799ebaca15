"""Moves the blocks of a database that holds its own key over to PREFECT_SERVER_ENCRYPTION_KEY.

Without that setting Prefect makes a key and keeps it in the table `configuration`, beside what it encrypts. With it,
Prefect reads the setting alone, and would find no block readable any more.
"""

from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from prefect.server.utilities.database import JSON, UUID
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine

KEPT = sa.table("configuration", sa.column("key", sa.String), sa.column("value", JSON))
BLOCKS = sa.table("block_document", sa.column("id", UUID), sa.column("name", sa.String), sa.column("data", JSON))
IN_DATABASE = KEPT.c.key == "ENCRYPTION_KEY"


class WrongKey(Exception):
    """Blocks cannot be read with the key."""


async def move_blocks(url: str, key: str) -> int:
    """Encrypt all blocks of a Prefect database with our key, and forget the one that lies there; how many were moved.

    All in one transaction: killed at any moment, it leaves either key with the blocks that it reads. Where no key lies,
    nothing is moved. Raises WrongKey, having changed nothing, where a block is not readable.
    """
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(move, Fernet(key))
    finally:
        await engine.dispose()


def move(connection: Connection, key: Fernet) -> int:
    """The same, within a transaction."""
    if not sa.inspect(connection).has_table(BLOCKS.name):
        return 0  # a new database
    kept = connection.execute(sa.select(KEPT.c.value).where(IN_DATABASE).with_for_update()).scalar()
    keys = MultiFernet([key, *([Fernet(kept["fernet_key"])] if kept else [])])
    rows = connection.execute(sa.select(BLOCKS.c.id, BLOCKS.c.name, BLOCKS.c.data)).all()
    rotated = {row.id: rotate(keys, row.name, row.data) for row in rows}
    if not kept:
        return 0
    for one, data in rotated.items():
        connection.execute(BLOCKS.update().where(BLOCKS.c.id == one).values(data=data))
    connection.execute(KEPT.delete().where(IN_DATABASE))
    return len(rotated)


def rotate(keys: MultiFernet, name: str, data: Any) -> Any:
    """A block's content, encrypted with the first key. What is no text was never encrypted."""
    if not isinstance(data, str):
        return data
    try:
        return keys.rotate(data.encode()).decode()
    except InvalidToken as error:
        raise WrongKey(
            f"PREFECT_SERVER_ENCRYPTION_KEY does not decrypt the block {name!r} of Prefect's database: its blocks were "
            "encrypted with another key. Put that one into .env. If it is lost, delete the rows of the table "
            "block_document; `make deploy` writes the blocks anew."
        ) from error
