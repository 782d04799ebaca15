"""CSV blocks -> typed Arrow batches: all rows arrive, or the first that cannot is named."""

from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from longshore.errors import LoadError, WiderSchemaNeeded
from longshore.formats.csv.parse import Layout, fits, infer, no_numbers, parse, values_fit
from longshore.formats.csv.ragged import Ragged, regular_places, trimmed
from longshore.rows.fit import first_misfit
from longshore.schemas import INTEGERS, postgres_type, wider

# Holds any bigint exactly, written `7` or `7.0`: how an integer column is read once a float was met in it.
WHOLE = pa.decimal128(38, 18)


class CsvReader:
    """Types the blocks of one file, in order.

    widen: a value that does not fit the schema asks for a wider one (WiderSchemaNeeded); otherwise it
    is an error (LoadError).
    """

    def __init__(self, name: str, layout: Layout, schema: pa.Schema, widen: bool) -> None:
        self.name, self.layout, self.schema, self.widen = name, layout, schema, widen
        self.rows = 0  # of the blocks before this one
        self.reading = {field.name: field.type for field in schema}
        self.quoted_null = False  # `""` was met in a column that is not text
        self._places: Sequence[int] | None = None  # of the rows being typed in their block, None: all in order

    def batches(self, blocks: Iterator[bytes]) -> Iterator[pa.RecordBatch]:
        for block in blocks:
            self._places = None
            table = self._typed(block)
            yield from table.to_batches()
            self.rows += table.num_rows

    def _typed(self, block: bytes) -> pa.Table:
        ragged: Ragged = []
        try:
            table = self._parse(block, ragged)
        except pa.ArrowInvalid:
            self._explain(block)
            ragged.clear()
            table = self._parse(block, ragged)
        for name in self.layout.extra:
            row = pc.index(pc.not_equal(table[name], ""), True).as_py()
            if row >= 0:
                raise LoadError(f"{self._where(block, row)}: more fields than the header's {len(self.layout.header)}.")
        table = self._whole_numbers(block, table.select(self.schema.names))
        if self.widen:
            for name, row in no_numbers(block, self.layout, table):
                reason = f"{self._where(block, row, name)}: as a number it would lose digits"
                self._ask(self.schema.field(name), pa.string(), reason)
        if ragged:
            again, self._places = trimmed(block, self.layout, f"{self.name}, row", self.rows + 1)
            table = pa.concat_tables([table, self._typed(again)])
        return table

    def _parse(self, block: bytes, ragged: Ragged) -> pa.Table:
        if not self.quoted_null:
            return parse(block, self.layout, self.reading, ragged=ragged)
        # `""` is an empty text, but no value at all in a column of numbers or dates.
        texts = [f.name for f in self.schema if pa.types.is_string(f.type)] + self.layout.extra
        others = [f.name for f in self.schema if f.name not in texts]
        table = parse(block, self.layout, self.reading, only=others, ragged=ragged, quoted_null=True)
        if texts:
            for column in parse(block, self.layout, self.reading, only=texts).itercolumns():
                table = table.append_column(texts[table.num_columns - len(others)], column)
        return table

    def _where(self, block: bytes, row: int, column: str = "") -> str:
        """The place of a row of the block, counted from 1 below the header."""
        if self._places is None:
            self._places = regular_places(block, self.layout)
        row = self._places[row] if row < len(self._places) else row
        return f"{self.name}, row {self.rows + row + 1:,}" + (f", column {column!r}" if column else "")

    def _explain(self, block: bytes) -> None:
        """Find the columns that a block does not fit: read them one by one, or say what is wrong."""
        try:
            parse(block, self.layout, dict.fromkeys(self.layout.names, pa.binary()))
        except pa.ArrowInvalid as error:
            raise not_csv(f"{self.name}, row {self.rows + 1:,} or later", block, error) from error
        for field in self.schema:
            if not self._finds_reading(block, field):
                kind = WHOLE if field.type in INTEGERS else field.type
                values = parse(block, self.layout, {field.name: pa.binary()}, only=[field.name])[field.name].to_pylist()
                row = first_misfit(values, partial(values_fit, kind=kind))
                self._misfit(block, field, row, values[row])

    def _finds_reading(self, block: bytes, field: pa.Field) -> bool:
        for kind in (self.reading[field.name], WHOLE) if field.type in INTEGERS else (field.type,):
            for quoted_null in (False,) if pa.types.is_string(kind) or pa.types.is_null(kind) else (False, True):
                if fits(block, self.layout, field.name, kind, quoted_null):
                    self.reading[field.name] = kind
                    self.quoted_null |= quoted_null
                    return True
        return False

    def _misfit(self, block: bytes, field: pa.Field, row: int, value: bytes) -> None:
        where = self._where(block, row, field.name)
        try:
            text = value.decode()
        except UnicodeDecodeError as error:
            raise LoadError(f"{where}: {value[:40]!r} is not valid UTF-8. Save the file as UTF-8.") from error
        if not self.widen:
            raise LoadError(f"{where}: {text[:60]!r} does not fit the type {postgres_type(field)}.")
        kind = wider(field.type, infer(block, self.layout, [field.name]).field(0).type)
        self._ask(
            field, pa.string() if kind == field.type else kind, f"{where}: {text[:60]!r} is no {postgres_type(field)}"
        )

    def _ask(self, field: pa.Field, kind: pa.DataType, reason: str) -> None:
        index = self.schema.get_field_index(field.name)
        raise WiderSchemaNeeded(self.schema.set(index, field.with_type(kind)), reason)

    def _whole_numbers(self, block: bytes, table: pa.Table) -> pa.Table:
        """Integer columns back from the decimals that they were read as."""
        for index, field in enumerate(self.schema):
            if self.reading[field.name] == field.type:
                continue
            try:
                table = table.set_column(index, field, table[field.name].cast(field.type))
            except pa.ArrowInvalid:
                numbers = table[field.name].to_pylist()
                row = first_misfit(numbers, partial(_whole, kind=field.type))
                where = f"{self._where(block, row, field.name)}: {numbers[row].normalize():f}"
                if not self.widen:
                    raise LoadError(f"{where} does not fit the type {postgres_type(field)}.") from None
                self._ask(field, wider(field.type, pa.float64()), f"{where} is no {postgres_type(field)}")
        return table


def _whole(values: Sequence[object], kind: pa.DataType) -> bool:
    try:
        pa.array(values, WHOLE).cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def not_csv(where: str, block: bytes, error: pa.ArrowInvalid) -> LoadError:
    """What to say of a block that the parser refuses as a whole."""
    try:
        block.decode()
    except UnicodeDecodeError as wrong:
        line = block.count(b"\n", 0, wrong.start) + 1
        bad = block[wrong.start : wrong.start + 20]
        return LoadError(f"{where}, line {line:,} from there: {bad!r} is not valid UTF-8. Save the file as UTF-8.")
    return LoadError(f"{where}: not CSV: {error}.")
