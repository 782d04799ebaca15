"""A file as the formats read it, wherever it lies, and which format it has."""

from collections.abc import Iterator
from typing import Literal, Protocol, get_args
from urllib.parse import urlsplit

Format = Literal["csv", "json", "jsonl", "parquet"]


class NoRanges(Exception):
    """The file can be read from its start only."""


class File(Protocol):
    """One version of one file. name: what messages call it. size: bytes, None where nothing tells."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int | None: ...

    def chunks(self) -> Iterator[bytes]:
        """The bytes from the start."""

    def read_at(self, start: int, length: int) -> bytes:
        """`length` bytes from `start`. Raises NoRanges where that cannot be."""

    def close(self) -> None:
        """Let go of what `chunks` would have read from."""


def format_of(url: str) -> Format | None:
    """The format that a URL's or a path's file name tells (`.csv.gz` is csv)."""
    endings = urlsplit(url).path.lower().removesuffix(".gz").rsplit(".", 1)
    ending = {"ndjson": "jsonl", "tsv": "csv", "txt": "csv"}.get(endings[-1], endings[-1])
    return ending if ending in get_args(Format) else None  # type: ignore[return-value]
