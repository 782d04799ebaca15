"""JSON objects, one to a line -> typed columns: by Arrow where it is exact, else value by value."""

import json
from datetime import time
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json

from longshore.errors import LoadError
from longshore.formats.csv.parse import EXACT_BELOW
from longshore.schemas import INTEGERS, JSONB, storable, wider

Rows = list[dict[str, Any]]


def to_array(values: list[Any], field: pa.Field) -> pa.Array:
    """JSON values as a column; raises where one does not fit exactly."""
    kind = field.type
    if field.metadata == JSONB:
        return pa.array([None if v is None else json.dumps(v, ensure_ascii=False) for v in values], pa.string())
    if kind in INTEGERS:
        values = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
    elif pa.types.is_string(kind):
        values = [v if v is None or isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in values]
    elif pa.types.is_time(kind):  # Arrow casts no text to it
        values = [None if v is None else time.fromisoformat(v) for v in values]
    elif not (pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        return pa.array([None if v is None else str(v) for v in values], pa.string()).cast(kind)
    return pa.array(values, kind)


def fits(values: Any, field: pa.Field) -> bool:
    try:
        to_array(list(values), field)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True


def guess(values: Any) -> pa.DataType:
    try:
        return storable(pa.field("", pa.array(values).type)).type
    except (pa.ArrowException, ValueError, OverflowError):
        return pa.string()


def arrow_parse(block: bytes, schema: pa.Schema | None) -> pa.Table:
    """The block's rows. Raises ArrowInvalid, also where a number would lose digits. schema: None to infer it."""
    plain = schema and pa.schema([f if _in_json(f.type) else f.with_type(pa.string()) for f in schema])
    table = arrow_json.read_json(
        pa.BufferReader(block),
        read_options=arrow_json.ReadOptions(block_size=1 << 30),
        parse_options=arrow_json.ParseOptions(
            explicit_schema=plain, unexpected_field_behavior="infer" if schema is None else "error"
        ),
    )
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_floating(field.type) and (pc.max(pc.abs(column)).as_py() or 0) >= EXACT_BELOW:
            raise pa.ArrowInvalid(f"{field.name}: perhaps a whole number that a double does not hold")
    return table.cast(schema) if schema else table


def _in_json(kind: pa.DataType) -> bool:
    """Whether JSON has such values; other types are text there, and cast more strictly than Arrow's reader does."""
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_null(kind))


def python_parse(block: bytes, name: str, rows_before: int) -> Rows:
    """The block's objects. Raises LoadError with the row that is not one."""
    rows: Rows = []
    for line in block.splitlines():
        if not line.strip():
            continue
        where = f"{name}, row {rows_before + len(rows) + 1:,}"
        try:
            row = json.loads(line)
        except UnicodeDecodeError as error:
            raise LoadError(f"{where}: not valid UTF-8: {line[:60]!r}. Save the file as UTF-8.") from error
        except ValueError as error:
            raise LoadError(f"{where}: not JSON: {error}: {line[:60]!r}.") from error
        if not isinstance(row, dict):
            raise LoadError(f"{where}: {line[:60]!r} is no object; each row must be one.")
        rows.append(row)
    return rows


def infer(block: bytes, name: str, rows_before: int) -> pa.Schema:
    try:
        return pa.schema([_inferred(field) for field in arrow_parse(block, None).schema])
    except pa.ArrowInvalid:
        rows = python_parse(block, name, rows_before)
    columns = dict.fromkeys(key for row in rows for key in row)
    return pa.schema([_mixed(column, [row.get(column) for row in rows]) for column in columns])


def _inferred(field: pa.Field) -> pa.Field:
    """JSON has no dates: what looks like one stays the text that it is, unless it is declared."""
    return pa.field(field.name, pa.string()) if pa.types.is_temporal(field.type) else storable(field)


def _mixed(name: str, values: list[Any]) -> pa.Field:
    if any(isinstance(value, dict | list) for value in values):
        return pa.field(name, pa.string(), metadata=JSONB)
    kind: pa.DataType = pa.null()
    for sort in {type(value): value for value in values}.values():
        kind = wider(kind, guess([sort]))
    if not fits(values, pa.field(name, kind)):
        kind = pa.string()
    return pa.field(name, kind)
