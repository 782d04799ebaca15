"""The rows of a file on their way into a sink: what all sinks do with them."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from longshore.backoff import Log
from longshore.rows.fit import cast

PROGRESS_SECONDS = 5.0

Check = Callable[[str, pa.RecordBatch, int], None]


@dataclass(frozen=True)
class Rule:
    """Which rows are kept. drops: reason -> the rows it drops, as a boolean column (null: kept)."""

    drops: dict[str, Callable[[pa.RecordBatch], pa.Array]] = field(default_factory=dict)


NO_RULE = Rule()


@dataclass
class Counts:
    """What has gone by so far; dropped: by reason."""

    read: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        return self.read - sum(self.dropped.values())


def kept(
    batches: Iterator[pa.RecordBatch],
    name: str,
    target: pa.Schema,
    rule: Rule,
    counts: Counts,
    check: Check | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows that the rule keeps, in the target's types.

    check(name, batch, rows before it) may refuse a batch. Raises LoadError with the row and column that does not fit.
    """
    for batch in batches:
        before = counts.read
        counts.read += batch.num_rows
        if check:
            check(name, batch, before)
        if batch.schema != target:
            batch = cast(name, batch, target, before)
        for reason, dropped in rule.drops.items():
            mask = dropped(batch).fill_null(False)
            counts.dropped[reason] = counts.dropped.get(reason, 0) + mask.true_count
            if mask.true_count:
                batch = batch.filter(pc.invert(mask))
        yield batch


def telling(batches: Iterator[pa.RecordBatch], title: str, counts: Counts, log: Log) -> Iterator[pa.RecordBatch]:
    """The same batches; the log tells every few seconds how many rows have gone by."""
    said = time.monotonic()
    for batch in batches:
        yield batch
        if time.monotonic() - said > PROGRESS_SECONDS:
            said = time.monotonic()
            log.info("%s: %s rows so far", title, f"{counts.read:,}")
