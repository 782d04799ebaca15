"""One JSON array of objects -> JSON Lines, without holding the array."""

import json
from collections.abc import Iterator

import ijson

from longshore.errors import LoadError


class _Pull:
    """Chunks as a file for ijson."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def read(self, size: int = -1) -> bytes:
        return b"" if size == 0 else next(self._chunks, b"")


def array_lines(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The objects of one JSON array, as JSON Lines."""
    number = 0
    try:
        for item in ijson.items(_Pull(chunks), "item"):
            number += 1
            yield json.dumps(item, default=float).encode() + b"\n"  # ijson's floats are Decimals
    except ijson.JSONError as error:
        said = str(error).splitlines()[0].strip()
        raise LoadError(f"{name}, behind row {number:,}: not a JSON array of objects: {said}.") from error
