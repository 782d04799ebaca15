"""Columns and rows on their way from a source to a sink."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa

from longshore.backoff import Log
from longshore.errors import LoadError, WiderSchemaNeeded

Result = TypeVar("Result")


@dataclass(frozen=True)
class Table:
    """Columns, and rows as batches in those columns' types."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


def widening(title: str, attempt: Callable[[pa.Schema | None], Result], log: Log) -> Result:
    """The result of attempt(None), or of a later one with the wider schema that a late value asked for."""
    inferred: pa.Schema | None = None
    while True:
        try:
            return attempt(inferred)
        except WiderSchemaNeeded as wider:
            if wider.schema == inferred:
                raise LoadError(f"{title}: {wider}, and no wider type helps. Declare the columns.") from None
            log.info("%s: %s; starting again with a wider column.", title, wider)
            inferred = wider.schema
