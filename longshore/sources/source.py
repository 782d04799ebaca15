"""What a source is: where rows come from. A sink opens it, and knows nothing else of it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from longshore.backoff import Backoff, Log
from longshore.formats.file import File, Format
from longshore.rows.table import Table


class Opened(Protocol):
    """One version of a source, being read. name: what messages and ledgers call the source, without secrets.

    fingerprint: changes when the rows may, None where nothing tells. bytes_received: until now.
    """

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str | None: ...
    @property
    def bytes_received(self) -> int: ...

    def table(self, schema: pa.Schema | None, widen: bool) -> Table:
        """Columns and rows, once.

        schema: the declared columns, None to infer them. widen: raise WiderSchemaNeeded where a later value does not
        fit an inferred schema. Raises LoadError with file, row and column.
        """


class Source(Protocol):
    """Where rows come from. file_format: how its bytes are read, None where they tell themselves."""

    @property
    def title(self) -> str:
        """What logs call it."""

    @property
    def file_format(self) -> str | None: ...

    def open(self, log: Log, backoff: Backoff) -> AbstractContextManager[Opened]:
        """The newest version. Raises LoadError when it is not to be had."""


class Fetched(File, Protocol):
    """A file that tells its version, and how much of it has come."""

    @property
    def fingerprint(self) -> str | None: ...
    @property
    def bytes_received(self) -> int: ...


@dataclass(frozen=True)
class OpenedFile:
    """A file as a source: what WebFile and ZipMember hand out."""

    file: Fetched
    file_format: Format | None
    stack: ExitStack

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def fingerprint(self) -> str | None:
        return self.file.fingerprint

    @property
    def bytes_received(self) -> int:
        return self.file.bytes_received

    def table(self, schema: pa.Schema | None, widen: bool) -> Table:
        """See Opened."""
        from longshore.formats.read import read_table  # its packages are not in the images of jobs that only fetch

        return read_table(self.file, self.stack, self.file_format, schema, widen)


@contextmanager
def opened_file(file: Fetched, file_format: Format | None) -> Iterator[OpenedFile]:
    """The file as a source; threads that read ahead end with the context."""
    with ExitStack() as stack:
        yield OpenedFile(file, file_format, stack)
