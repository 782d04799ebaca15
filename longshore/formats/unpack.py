"""Bytes as they came -> the plain text of a file: gunzipped, and refused when they are something else."""

from collections.abc import Iterable, Iterator

from isal import isal_zlib
from isal.isal_zlib import IsalError

from longshore.errors import LoadError

GZIP_MAGIC = b"\x1f\x8b"
BOM = b"\xef\xbb\xbf"
OTHER_MAGIC = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ": "xz data",
    b"\x28\xb5\x2f\xfd": "zstd data",
    b"%PDF": "a PDF",
    b"\x89PNG": "a PNG picture",
    b"PAR1": "Parquet (then say file_format parquet)",
    GZIP_MAGIC: "gzip in gzip",
}


def unpack(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """The chunks, gunzipped when they begin as gzip does (any number of members), whatever the name says.

    Without the byte order mark that some editors write. Raises LoadError on what is no text.
    """
    first, rest = _at_least(iter(chunks), 512)
    if first.startswith(GZIP_MAGIC):
        first, rest = _at_least(_gunzip(_chain(first, rest), name), 512)
        name = f"{name}, unpacked,"
    if not first:
        raise LoadError(f"{name} is empty (0 bytes).")
    _refuse_other(first, name)
    yield first.removeprefix(BOM)
    yield from rest


def _refuse_other(head: bytes, name: str) -> None:
    for magic, what in OTHER_MAGIC.items():
        if head.startswith(magic):
            raise LoadError(f"{name} is {what}, not csv or json.")
    if head[257:262] == b"ustar":
        raise LoadError(f"{name} is a tar archive. Unpack it and give the address of one file.")
    if head.removeprefix(BOM).lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise LoadError(f"{name} is a web page (HTML), not data. Does the address need a login or another path?")


def _at_least(chunks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """The first `size` bytes or more (fewer when there are no more), and the chunks behind them."""
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
