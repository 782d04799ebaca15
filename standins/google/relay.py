"""`python -m standins.google.relay PORT HOST PORT`: pass TCP connections on to a server of another network.

As a container with a network alias it stands where others look for a name of the internet.
"""

import argparse
import asyncio
from typing import TypeAlias

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter


async def pipe(reader: Reader, writer: Writer) -> None:
    """Pass on what comes, to the end."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def relay(port: int, host: str, target: int) -> None:
    """Listen, for ever."""

    async def one(reader: Reader, writer: Writer) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(host, target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))

    async with await asyncio.start_server(one, port=port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m standins.google.relay", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("host")
    parser.add_argument("target", type=int)
    given = parser.parse_args()
    asyncio.run(relay(given.port, given.host, given.target))
