"""JSON Lines, or one JSON array of objects -> typed Arrow batches. A nested value becomes jsonb."""

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

import ijson
import pyarrow as pa
from pyarrow import json as arrow_json

from jobs.common.csv_parse import first_misfit
from jobs.common.errors import LoadError, WiderSchemaNeeded
from jobs.common.schemas import INTEGERS, JSONB, storable, wider

Rows = list[dict[str, Any]]


class JsonReader:
    """Types the blocks of one file, in order. A field that a row lacks is null."""

    def __init__(self, name: str, schema: pa.Schema, widen: bool) -> None:
        self.name, self.schema, self.widen = name, schema, widen
        self.rows = 0
        self._nested = any(field.metadata == JSONB for field in schema)

    def batches(self, blocks: Iterator[bytes]) -> Iterator[pa.RecordBatch]:
        for block in blocks:
            table = self._typed(block)
            yield from table.to_batches()
            self.rows += table.num_rows

    def _typed(self, block: bytes) -> pa.Table:
        if not self._nested:
            try:
                return arrow_parse(block, self.schema)
            except pa.ArrowInvalid:
                pass  # value by value, then: slower, and it can say which one
        rows = python_parse(block, self.name, self.rows)
        for number, row in enumerate(rows):
            unknown = sorted(row.keys() - set(self.schema.names))
            if unknown and self.widen:
                new = infer(block, self.name, self.rows)
                fields = [pa.field(name, new.field(name).type, metadata=new.field(name).metadata) for name in unknown]
                raise WiderSchemaNeeded(
                    pa.schema([*self.schema, *fields]),
                    f"row {self.rows + number + 1:,} has the new field {unknown[0]!r}",
                )
            if unknown:
                raise LoadError(f"{self.name}, row {self.rows + number + 1:,}: unexpected field {unknown[0]!r}.")
        return pa.table([self._column(rows, field) for field in self.schema], schema=self.schema)

    def _column(self, rows: Rows, field: pa.Field) -> pa.Array:
        values = [row.get(field.name) for row in rows]
        try:
            return to_array(values, field)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            pass
        bad = first_misfit(values, lambda part: _fits(part, field))
        where = f"{self.name}, row {self.rows + bad + 1:,}, column {field.name!r}: {str(values[bad])[:60]!r}"
        if not self.widen:
            raise LoadError(f"{where} does not fit the type {field.type}.")
        kind = wider(field.type, _guess(values[bad : bad + 1]))
        new = field.with_type(pa.string() if kind == field.type else kind)
        if isinstance(values[bad], dict | list):
            new = pa.field(field.name, pa.string(), metadata=JSONB)
        raise WiderSchemaNeeded(
            self.schema.set(self.schema.get_field_index(field.name), new), f"{where} is no {field.type}"
        )


def to_array(values: list[Any], field: pa.Field) -> pa.Array:
    """JSON values as a column; raises where one does not fit exactly."""
    kind = field.type
    if field.metadata == JSONB:
        return pa.array([None if v is None else json.dumps(v) for v in values], pa.string())
    if kind in INTEGERS:
        values = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
    elif pa.types.is_string(kind):
        values = [json.dumps(v) if isinstance(v, bool | int | float | dict | list) else v for v in values]
    elif not (pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        return pa.array([None if v is None else str(v) for v in values], pa.string()).cast(kind)
    return pa.array(values, kind)


def _fits(values: Any, field: pa.Field) -> bool:
    try:
        to_array(list(values), field)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True


def _guess(values: Any) -> pa.DataType:
    try:
        return storable(pa.field("", pa.array(values).type)).type
    except pa.ArrowException:
        return pa.string()


def arrow_parse(block: bytes, schema: pa.Schema | None) -> pa.Table:
    return arrow_json.read_json(
        pa.BufferReader(block),
        read_options=arrow_json.ReadOptions(block_size=1 << 30),
        parse_options=arrow_json.ParseOptions(
            explicit_schema=schema, unexpected_field_behavior="infer" if schema is None else "error"
        ),
    )


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
        return pa.schema([storable(field) for field in arrow_parse(block, None).schema])
    except pa.ArrowInvalid:
        rows = python_parse(block, name, rows_before)
    columns = dict.fromkeys(key for row in rows for key in row)
    return pa.schema([_mixed(column, [row.get(column) for row in rows]) for column in columns])


def _mixed(name: str, values: list[Any]) -> pa.Field:
    if any(isinstance(value, dict | list) for value in values):
        return pa.field(name, pa.string(), metadata=JSONB)
    kind: pa.DataType = pa.null()
    for sort in {type(value): value for value in values}.values():
        kind = wider(kind, _guess([sort]))
    return pa.field(name, kind)


def open_json(
    name: str, blocks: Iterator[bytes], schema: pa.Schema | None, widen: bool
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Schema and batches of JSON Lines; without a schema it is inferred from the first block."""
    first = next(blocks, b"")
    schema = schema or infer(first, name, 0)
    return schema, JsonReader(name, schema, widen).batches(chain([first] if first else [], blocks))


class _Pull:
    """Chunks as a file for ijson."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def read(self, size: int = -1) -> bytes:
        return b"" if size == 0 else next(self._chunks, b"")


def array_lines(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The objects of one JSON array, as JSON Lines."""
    number = 0
    try:
        for item in ijson.items(_Pull(chunks), "item", use_float=True):
            number += 1
            yield json.dumps(item).encode() + b"\n"
    except ijson.JSONError as error:
        raise LoadError(f"{name}, behind row {number:,}: not a JSON array of objects: {error}.") from error
