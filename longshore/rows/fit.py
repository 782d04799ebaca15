"""Values -> the types of a schema; the first that does not fit is named."""

import json
from collections.abc import Callable, Sequence
from typing import TypeVar

import pyarrow as pa

from longshore.errors import LoadError
from longshore.schemas import JSONB, postgres_type

T = TypeVar("T")


def cast(name: str, batch: pa.RecordBatch, schema: pa.Schema, rows_before: int) -> pa.RecordBatch:
    """The batch in the schema's types. Raises LoadError with the row and column of a value that does not fit."""
    columns = []
    for field in schema:
        values = batch.column(field.name)
        if field.metadata == JSONB and not pa.types.is_string(values.type):
            values = pa.array(
                [None if v is None else json.dumps(v, default=str) for v in values.to_pylist()], pa.string()
            )
        if values.type != field.type:
            try:
                if pa.types.is_decimal(field.type) and pa.types.is_integer(values.type):
                    values = values.cast(pa.decimal128(38, field.type.scale))  # has room for any, to be checked next
                values = values.cast(field.type)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise LoadError(_misfit(name, values, field, rows_before)) from error
        columns.append(values)
    return pa.record_batch(columns, schema=schema)


def _misfit(name: str, values: pa.Array, field: pa.Field, rows_before: int) -> str:
    def fit(rows: Sequence[int]) -> bool:
        try:
            values.slice(rows[0], len(rows)).cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return False
        return True

    row = first_misfit(range(len(values)), fit)
    where = f"{name}, row {rows_before + row + 1:,}, column {field.name!r}"
    return f"{where}: {str(values[row].as_py())[:60]!r} does not fit the type {postgres_type(field)}."


def first_misfit(values: Sequence[T], fit: Callable[[Sequence[T]], bool]) -> int:
    """The index of the first value that does not fit, by bisection; there is one."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        if fit(values[low:middle]):
            low = middle
        else:
            high = middle
    return low
