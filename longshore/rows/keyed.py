"""Rows that a key tells apart."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from longshore.errors import LoadError


def first_of_each(rows: pa.Table, key: Sequence[str], title: str) -> pa.Table:
    """The rows without those whose key an earlier one has. Raises LoadError where rows cannot be told apart by it.

    title: what the rows are called in messages.
    """
    for name in key:
        if name not in rows.column_names:
            raise LoadError(f"{title} has no column {name!r}, which is part of the key {', '.join(key)}.")
        column = rows[name]
        if pa.types.is_floating(column.type):
            raise LoadError(f"{title}, column {name!r}: a {column.type} is no part of a key: NaN is not equal to NaN.")
        if column.null_count:
            row = pc.index(column.is_null(), True).as_py()
            raise LoadError(
                f"{title}, row {row + 1:,}, column {name!r} is empty, but part of the key {', '.join(key)}. Leave such"
                " rows out, or take another key."
            )
    return firsts(rows, key)


def firsts(rows: pa.Table, key: Sequence[str]) -> pa.Table:
    """Of the rows alike in the key the first, in the order of the rows."""
    names = [*map(str, range(len(key)))]
    numbers = pa.array(range(rows.num_rows), pa.int64())
    numbered = pa.table([*(rows[name] for name in key), numbers], [*names, "row"])
    first = numbered.group_by(names).aggregate([("row", "min")])["row_min"]
    return rows if len(first) == rows.num_rows else rows.take(first.combine_chunks().sort())
