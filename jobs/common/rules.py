"""Which rows of a file are loaded."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa


@dataclass(frozen=True)
class Rule:
    """Which rows are kept. drops: reason -> the rows it drops, as a boolean column (null: kept)."""

    drops: dict[str, Callable[[pa.RecordBatch], pa.Array]] = field(default_factory=dict)


NO_RULE = Rule()
