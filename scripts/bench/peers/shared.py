"""What several peers share: the file over HTTP, gunzipped by isal in a thread, and the table."""

import threading
import urllib.request
from collections.abc import Iterator
from io import BufferedReader
from queue import Queue

from isal import igzip_threaded, isal_zlib

READ = 256 << 10  # bytes of a read from the line


def create(table: str, columns: dict[str, str]) -> str:
    """The statement that makes the table. columns: name -> SQL type."""
    listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    return f"create table {table} ({listed})"


def download(url: str) -> bytes:
    """The file as it is."""
    with urllib.request.urlopen(url) as answer:  # noqa: S310
        body: bytes = answer.read()
    return body


def unpacked(url: str) -> Iterator[bytes]:
    """The text of a csv.gz, piece by piece."""
    member = isal_zlib.decompressobj(31)
    with urllib.request.urlopen(url) as answer:  # noqa: S310
        while piece := answer.read(READ):
            yield member.decompress(piece)


def unpacked_file(url: str) -> BufferedReader:
    """The same as a file, gunzipped in a thread of its own."""
    answer = urllib.request.urlopen(url)  # noqa: S310
    file: BufferedReader = igzip_threaded.open(answer, "rb", threads=1, block_size=READ)  # type: ignore[no-untyped-call]
    return file


def ahead(items: Iterator[bytes], depth: int = 2) -> Iterator[bytes]:
    """The same items, made in a thread that is at most `depth` of them ahead."""
    ready: Queue[bytes | BaseException | None] = Queue(depth)

    def make() -> None:
        try:
            for item in items:
                ready.put(item)
            ready.put(None)
        except BaseException as error:
            ready.put(error)

    threading.Thread(target=make, daemon=True).start()
    while (item := ready.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item
