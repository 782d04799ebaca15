"""A zip: its files by name, unpacked while they are read, never onto a disk; hostile ones are refused."""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import SEEK_END, RawIOBase
from pathlib import Path, PurePosixPath
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from longshore.backoff import Backoff, Log
from longshore.errors import LoadError
from longshore.formats.file import Format, NoRanges, format_of
from longshore.sources.source import OpenedFile, opened_file
from longshore.sources.web import RemoteFile, open_url

MIB = 1 << 20
IN_MEMORY = 64 * MIB  # of a zip; above that it goes to a disk, which in Cloud Run is memory as well
MOST_PACKED = 2048 * MIB
MOST_BYTES = 512 * MIB  # of a file, unpacked, where its reader says nothing else
MOST_RATIO = 200  # tables shrink 5 to 30 times; what deflate makes of zeros, 1,000 times
SMALL = 16 * MIB  # below this a ratio does no harm
ENCRYPTED = 1  # in a zip's flag bits
BROKEN = (BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, ValueError, struct.error, zlib.error)


class Zip:
    """The files of one zip. name: what errors call it. Made by `opened`."""

    def __init__(self, archive: ZipFile, name: str, size: int) -> None:
        self.name, self._archive, self._size = name, archive, size
        files = [info for info in archive.infolist() if not info.is_dir() and not info.filename.startswith("__MACOSX/")]
        for info in files:
            _check_name(name, info.filename)
        folders = {str(PurePosixPath(info.filename).parent) for info in files}
        self._folder = folders.pop() if len(folders) == 1 else "."
        self._files: dict[str, ZipInfo] = {}
        for info in files:
            member = str(PurePosixPath(info.filename).relative_to(self._folder))
            if member in self._files:
                raise LoadError(f"{name} holds {member} twice, and nobody can tell which is right. Make the zip anew.")
            self._files[member] = info

    def __contains__(self, member: str) -> bool:
        return member in self._files

    @property
    def members(self) -> list[str]:
        """The names, without the folder that all of them may be in."""
        return sorted(self._files)

    def size(self, member: str) -> int | None:
        """Bytes of a file, unpacked; None when it is not there."""
        found = self._files.get(self._short(member))
        return found.file_size if found else None

    def _short(self, member: str) -> str:
        """The name without the folder that all files are in."""
        return member.removeprefix(f"{self._folder}/")

    @contextmanager
    def open(self, member: str, most: int | None = None) -> Iterator["Unpacked"]:
        """The bytes of a file. Raises LoadError when it is not there, damaged, encrypted, or larger than most."""
        member = self._short(member)
        if member not in self._files:
            there = ", ".join(self.members[:20]) or "nothing"
            raise LoadError(f"{self.name} has no {member}; it holds {there}. Is it the right file?")
        info, where = self._files[member], f"{self.name}: {member}"
        self._check(info, where, most or MOST_BYTES)
        try:
            file = self._archive.open(info)
        except BROKEN as error:
            raise _damaged(where, error) from error
        with file:
            yield Unpacked(file, where)

    def _check(self, info: ZipInfo, where: str, most: int) -> None:
        """What the zip's directory says is all that there will be: zipfile stops at the declared size, and then the
        checksum is wrong."""
        if info.flag_bits & ENCRYPTED:
            raise LoadError(f"{where} is encrypted. Publish it without a password.")
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise LoadError(f"{where} is packed by method {info.compress_type}. Use deflate, as zips normally do.")
        if info.file_size > most:
            raise LoadError(
                f"{where} would have {info.file_size:,} bytes; more than {most:,} are refused as a zip bomb. If it is"
                " genuine, raise the limit in longshore/sources/zip.py."
            )
        if info.file_size > SMALL and info.file_size > MOST_RATIO * info.compress_size:
            raise LoadError(
                f"{where} would unpack to {info.file_size:,} bytes from {info.compress_size:,}: it is refused as a zip"
                f" bomb (more than {MOST_RATIO} times). If it is genuine, raise the limit in"
                " longshore/sources/zip.py."
            )
        if info.header_offset + info.compress_size > self._size:
            raise _damaged(where, BadZipFile("it ends behind the end of the zip"))


class Unpacked(RawIOBase):
    """A file's bytes as zipfile unpacks them; its errors become a LoadError. lines, quotes: how many were read."""

    def __init__(self, file: IO[bytes], where: str) -> None:
        self._file, self._where = file, where
        self.lines = self.quotes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._counted(self._file.read, size)

    def readline(self, size: int | None = -1) -> bytes:
        return self._counted(self._file.readline, -1 if size is None else size)

    def _counted(self, read: Callable[[int], bytes], size: int) -> bytes:
        try:
            data = read(size)
        except BROKEN as error:
            raise _damaged(self._where, error) from error
        self.lines += data.count(b"\n")
        self.quotes += data.count(b'"')
        return data


@contextmanager
def opened(file: BinaryIO | Path, name: str) -> Iterator[Zip]:
    """The zip in a seekable binary file or at a path. Raises LoadError when it is none, or a part of one."""
    if isinstance(file, Path):
        with file.open("rb") as there, opened(there, name) as found:
            yield found
        return
    file.seek(0)
    head = file.read(512)
    size = file.seek(0, SEEK_END)
    try:
        archive = ZipFile(file)
    except BROKEN as error:
        raise LoadError(f"{name} {_what_it_is(head)}") from error
    with archive:
        yield Zip(archive, name, size)


def _what_it_is(head: bytes) -> str:
    if not head:
        return "is empty (0 bytes)."
    if head.startswith(b"PK"):
        return "is a zip that is cut off or damaged: its directory, at the end, cannot be read. Download it again."
    if head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        return "is a web page (HTML), not a zip. Does the address need a login or another path?"
    return f"is not a zip: it begins with {head[:12]!r}. Is it the address of a zip?"


def _check_name(name: str, member: str) -> None:
    path = member.replace("\\", "/")
    if path.startswith("/") or ".." in path.split("/") or path[1:2] == ":":
        raise LoadError(f"{name} holds {member[:80]!r}, a name that leads out of the zip. It is refused as hostile.")


def _damaged(where: str, error: BaseException) -> LoadError:
    return LoadError(f"{where} is damaged in the zip: {error}. Download it again.")


@contextmanager
def downloaded(remote: RemoteFile) -> Iterator[BinaryIO]:
    """The remote file's bytes, seekable. Raises LoadError for more than MOST_PACKED."""
    with SpooledTemporaryFile(IN_MEMORY) as file:
        for chunk in remote.chunks():
            file.write(chunk)
            if file.tell() > MOST_PACKED:
                raise LoadError(f"{remote.name} has more than {MOST_PACKED:,} bytes. Is it the right file?")
        yield cast(BinaryIO, file)


@dataclass(frozen=True)
class ZipMember:
    """A csv, json, jsonl or parquet file within a zip at an http(s) URL. file_format: None, by the member's ending.

    advice: see `open_url`. most: bytes, unpacked.
    """

    url: str
    member: str
    file_format: Format | None = None
    advice: Mapping[int, str] | None = None
    most: int = MOST_BYTES

    @property
    def title(self) -> str:
        return self.member

    @contextmanager
    def open(self, log: Log, backoff: Backoff) -> Iterator[OpenedFile]:
        """The zip as it is now; it is fetched when its rows are asked for."""
        with open_url(self.url, log, backoff, self.advice) as remote, ExitStack() as stack:
            file = _MemberFile(self, remote, stack)
            with opened_file(file, self.file_format or format_of(self.member)) as opened:
                yield opened


class _MemberFile:
    """The member as the formats read it."""

    def __init__(self, source: ZipMember, remote: RemoteFile, stack: ExitStack) -> None:
        self.name = f"{remote.name}: {source.member}"
        self.fingerprint = remote.fingerprint and f"{remote.fingerprint} {source.member}"
        self._source, self._remote, self._stack = source, remote, stack

    @cached_property
    def _zip(self) -> Zip:
        file = self._stack.enter_context(downloaded(self._remote))
        return self._stack.enter_context(opened(file, self._remote.name))

    @property
    def bytes_received(self) -> int:
        return self._remote.bytes_received

    @property
    def size(self) -> int | None:
        return self._zip.size(self._source.member)

    def chunks(self) -> Iterator[bytes]:
        """See File."""
        with self._zip.open(self._source.member, self._source.most) as file:
            while data := file.read(MIB):
                yield data

    def read_at(self, start: int, length: int) -> bytes:
        """What is packed is read from its start."""
        raise NoRanges

    def close(self) -> None:
        """The zip is closed with the source."""
