"""Rows that a job has made itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from longshore.backoff import Backoff, Log
from longshore.errors import LoadError
from longshore.rows.table import Table


@dataclass(frozen=True)
class Rows:
    """A table in memory. title: what messages, logs and ledgers call it. fingerprint: see Opened."""

    rows: pa.Table
    title: str
    fingerprint: str | None = None
    file_format: None = None

    @property
    def name(self) -> str:
        return self.title

    @property
    def bytes_received(self) -> int:
        return 0

    @contextmanager
    def open(self, log: Log, backoff: Backoff) -> Iterator["Rows"]:
        """Itself."""
        yield self

    def table(self, schema: pa.Schema | None, widen: bool) -> Table:
        """The rows, in the columns' declared types where there are any."""
        rows = self.rows
        if schema is not None:
            try:
                rows = rows.select(schema.names).cast(schema)
            except (pa.ArrowException, KeyError) as error:
                raise LoadError(f"{self.title}: the rows are not as declared: {error}.") from error
        return Table(rows.schema, iter(rows.to_batches()))
