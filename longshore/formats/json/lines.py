"""JSON Lines -> typed Arrow batches. A nested value becomes jsonb."""

from collections.abc import Iterator
from itertools import chain

import pyarrow as pa

from longshore.errors import LoadError, WiderSchemaNeeded
from longshore.formats.json.parse import Rows, arrow_parse, fits, guess, infer, python_parse, to_array
from longshore.rows.fit import first_misfit
from longshore.schemas import JSONB, postgres_type, wider


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
                block.decode()  # Arrow takes any bytes for text
                return arrow_parse(block, self.schema)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
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
        bad = first_misfit(values, lambda part: fits(part, field))
        where = f"{self.name}, row {self.rows + bad + 1:,}, column {field.name!r}: {str(values[bad])[:60]!r}"
        if not self.widen:
            raise LoadError(f"{where} does not fit the type {postgres_type(field)}.")
        kind = wider(field.type, guess(values[bad : bad + 1]))
        new = field.with_type(pa.string() if kind == field.type else kind)
        if new == field:
            raise LoadError(f"{where} is no text that UTF-8 can hold. Correct the file.")
        if isinstance(values[bad], dict | list):
            new = pa.field(field.name, pa.string(), metadata=JSONB)
        raise WiderSchemaNeeded(
            self.schema.set(self.schema.get_field_index(field.name), new), f"{where} is no {postgres_type(field)}"
        )


def open_json(
    name: str, blocks: Iterator[bytes], schema: pa.Schema | None, widen: bool
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Schema and batches of JSON Lines; without a schema it is inferred from the first block."""
    first = next(blocks, b"")
    schema = schema or infer(first, name, 0)
    return schema, JsonReader(name, schema, widen).batches(chain([first] if first else [], blocks))
