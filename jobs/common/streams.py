"""Byte streams: unpack, cut at line ends, read ahead in a thread."""

import csv
import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from isal import isal_zlib
from isal.isal_zlib import IsalError

from jobs.common.errors import LoadError

T = TypeVar("T")
GZIP_MAGIC = b"\x1f\x8b"
OTHER_MAGIC = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ": "xz data",
    b"\x28\xb5\x2f\xfd": "zstd data",
    b"%PDF": "a PDF",
    b"\x89PNG": "a PNG picture",
}
BLOCK_BYTES = 2 << 20  # large enough for Arrow to be fast, small enough that a few in flight stay cheap
MAX_ROW_BYTES = 64 << 20
csv.field_size_limit(MAX_ROW_BYTES)


def unpack(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """The chunks, gunzipped when they begin as gzip does (any number of members), whatever the name says."""
    first, rest = _at_least(iter(chunks), 8)
    if not first:
        raise LoadError(f"{name} is empty (0 bytes).")
    if not first.startswith(GZIP_MAGIC):
        _refuse_other(first, name)
        yield first
        yield from rest
        return
    plain, more = _at_least(_gunzip(_chain(first, rest), name), 512)
    _refuse_other(plain, f"{name}, unpacked,")
    if plain[257:262] == b"ustar":
        raise LoadError(f"{name} is a tar archive. Unpack it and give the address of one file.")
    yield plain
    yield from more


def _refuse_other(head: bytes, name: str) -> None:
    for magic, what in OTHER_MAGIC.items():
        if head.startswith(magic):
            raise LoadError(f"{name} is {what}, not csv, json or parquet.")
    if head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise LoadError(f"{name} is a web page (HTML), not data. Does the address need a login or another path?")


def _at_least(chunks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= size:
            break
    return head, chunks


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _gunzip(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    member = isal_zlib.decompressobj(31)
    position = 0
    started = False
    for chunk in chunks:
        position += len(chunk)
        while chunk:
            if not started:
                chunk = chunk.lstrip(b"\0")  # zero padding after a member is allowed
                if not chunk:
                    break
            started = True
            try:
                plain = member.decompress(chunk)
            except IsalError as error:  # type: ignore[misc]  # its stub says object
                raise LoadError(f"{name}: damaged gzip near byte {position:,}: {error}.") from error
            chunk = member.unused_data
            if plain:
                yield plain
            if member.eof:
                member = isal_zlib.decompressobj(31)
                started = False
    if started:
        raise LoadError(f"{name}: truncated gzip: the data end in mid-stream after {position:,} bytes.")


def line_blocks(chunks: Iterable[bytes], name: str, quoting: bool, size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Blocks of about `size` bytes that end where a row ends.

    quoting: a line end within double quotes does not end a row (CSV; in JSON Lines every one does).
    """
    pending: list[bytes] = []
    length = 0
    for chunk in chunks:
        pending.append(chunk)
        length += len(chunk)
        if length < size:
            continue
        data = b"".join(pending)
        cut = _row_end(data, quoting)
        if cut:
            yield data[:cut]
            data = data[cut:]
        elif length > MAX_ROW_BYTES:
            raise LoadError(
                f"{name}: no row ends within {MAX_ROW_BYTES >> 20} MiB. Is a quote left open, or is it not text?"
            )
        pending, length = [data], len(data)
    if length:
        yield b"".join(pending)


def _row_end(data: bytes, quoting: bool) -> int:
    """The offset behind the last row that ends in the data; 0 when none does."""
    cut = data.rfind(b"\n") + 1
    if not quoting or data.count(b'"', 0, cut) % 2 == 0:
        return cut
    lines = data[:cut].splitlines(keepends=True)
    rows = csv.reader((line.decode("latin-1") for line in lines), strict=True)
    ended = 0
    try:
        for _ in rows:
            ended = rows.line_num
    except csv.Error:  # the last row goes on past the data
        return sum(map(len, lines[:ended]))
    return cut


class _End:
    """Marks the end of a stream in the queue, with the error that ended it."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


@contextmanager
def read_ahead(items: Iterator[T], depth: int = 2) -> Iterator[Iterator[T]]:
    """The same items, made in a thread that stays at most `depth` items ahead.

    An error of the maker is raised where the items are consumed. Leaving the context stops the maker
    at its next item and waits for it, so that nothing uses a connection that is being closed.
    """
    ready: queue.Queue[T | _End] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(item: T | _End) -> bool:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        end = _End()
        try:
            for item in items:
                if not put(item):
                    break
        except BaseException as error:
            end = _End(error)
        close = getattr(items, "close", None)
        if close:
            close()
        put(end)

    def consume() -> Iterator[T]:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    thread = threading.Thread(target=make, name="read-ahead", daemon=True)
    thread.start()
    try:
        yield consume()
    finally:
        stopped.set()
        thread.join()
