"""CSV files -> typed Arrow batches: all rows arrive, or the first that cannot is named."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from jobs.common.csv_parse import Layout, first_misfit, fits, infer, join_rows, parse, split_row, values_fit
from jobs.common.errors import LoadError, WiderSchemaNeeded
from jobs.common.schemas import INTEGERS, check_names, wider

DELIMITERS = ",;\t|"
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

    def batches(self, blocks: Iterator[bytes]) -> Iterator[pa.RecordBatch]:
        for block in blocks:
            table = self._typed(block)
            yield from table.to_batches()
            self.rows += table.num_rows

    def _typed(self, block: bytes) -> pa.Table:
        ragged: list[arrow_csv.InvalidRow] = []
        try:
            table = parse(block, self.layout, self.reading, ragged=ragged)
        except pa.ArrowInvalid:
            self._explain(block)
            ragged.clear()
            table = parse(block, self.layout, self.reading, ragged=ragged)
        for name in self.layout.names[len(self.layout.header) :]:
            if table[name].null_count < table.num_rows:
                row = pc.index(table[name].is_valid(), True).as_py()
                raise LoadError(f"{self._where(row)}: more fields than the header's {len(self.layout.header)}.")
        table = self._whole_numbers(table.select(self.schema.names))
        if ragged:
            table = pa.concat_tables([table, self._typed(self._mended(block))])
        return table

    def _where(self, row: int, column: str = "") -> str:
        return f"{self.name}, row {self.rows + row + 1:,}" + (f", column {column!r}" if column else "")

    def _mended(self, block: bytes) -> bytes:
        """The rows of another width, when all that they have too much is empty fields."""
        ragged: list[arrow_csv.InvalidRow] = []
        parse(block, self.layout, dict.fromkeys(self.layout.names, pa.binary()), ragged=ragged, number_rows=True)
        width = len(self.layout.header)
        rows = []
        for row in ragged:
            values = split_row(row.text, self.layout.delimiter)
            if len(values) < width or any(values[width:]):
                raise LoadError(
                    f"{self._where((row.number or 1) - 1)}: {len(values)} fields where the header has {width}: "
                    f"{row.text[:100]!r}. Was the file cut off, or a quote left out?"
                )
            rows.append(values[:width] + [""] * self.layout.surplus)
        return join_rows(rows, self.layout.delimiter)

    def _explain(self, block: bytes) -> None:
        """Find the columns that a block does not fit: read integers as floats, or say what is wrong."""
        for field in self.schema:
            if fits(block, self.layout, field.name, self.reading[field.name]):
                continue
            if field.type in INTEGERS and fits(block, self.layout, field.name, WHOLE):
                self.reading[field.name] = WHOLE
                continue
            try:
                column = parse(block, self.layout, {field.name: pa.binary()}, only=[field.name])[field.name]
            except pa.ArrowInvalid as error:
                raise LoadError(f"{self._where(0)} or later: not CSV: {error}.") from error
            values = column.to_pylist()
            row = first_misfit(values, partial(values_fit, kind=field.type))
            self._misfit(block, field, row, values[row])

    def _misfit(self, block: bytes, field: pa.Field, row: int, value: bytes) -> None:
        where = self._where(row, field.name)
        try:
            text = value.decode()
        except UnicodeDecodeError as error:
            raise LoadError(f"{where}: {value[:40]!r} is not valid UTF-8. Save the file as UTF-8.") from error
        if not self.widen:
            raise LoadError(f"{where}: {text[:60]!r} does not fit the type {field.type}.")
        kind = wider(field.type, infer(block, self.layout, [field.name]).field(0).type)
        kind = pa.string() if kind == field.type else kind
        self._ask(field, kind, f"{where}: {text[:60]!r} is no {field.type}")

    def _ask(self, field: pa.Field, kind: pa.DataType, reason: str) -> None:
        index = self.schema.get_field_index(field.name)
        raise WiderSchemaNeeded(self.schema.set(index, field.with_type(kind)), reason)

    def _whole_numbers(self, table: pa.Table) -> pa.Table:
        """Integer columns back from the decimals that they were read as."""
        for index, field in enumerate(self.schema):
            if self.reading[field.name] == field.type:
                continue
            values = table[field.name]
            try:
                table = table.set_column(index, field, values.cast(field.type))
            except pa.ArrowInvalid:
                numbers = values.to_pylist()
                row = first_misfit(numbers, partial(_whole, kind=field.type))
                where = f"{self._where(row, field.name)}: {numbers[row].normalize():f}"
                if not self.widen:
                    raise LoadError(f"{where} does not fit the type {field.type}.") from None
                self._ask(field, wider(field.type, pa.float64()), f"{where} is no {field.type}")
        return table


def _whole(values: Sequence[object], kind: pa.DataType) -> bool:
    try:
        pa.array(values, WHOLE).cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def open_csv(
    name: str, blocks: Iterator[bytes], schema: pa.Schema | None, widen: bool
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Schema and batches of a CSV file; without a schema it is inferred from the first block."""
    first = next(blocks).removeprefix(b"\xef\xbb\xbf")
    head, _, body = first.partition(b"\n")
    try:
        title = head.decode().rstrip("\r")
    except UnicodeDecodeError as error:
        raise LoadError(f"{name}, header: not valid UTF-8. Save the file as UTF-8.") from error
    delimiter = max(DELIMITERS, key=title.count)
    header = split_row(title, delimiter)
    while header and not header[-1]:
        header.pop()
    check_names(name, header, schema)
    sample = split_row(body.partition(b"\n")[0].decode("latin-1").rstrip("\r"), delimiter)
    surplus = 0 if any(sample[len(header) :]) else max(0, len(sample) - len(header))
    layout = Layout(header, delimiter, surplus)
    if schema is None:
        schema = infer(body, layout, header) if body else pa.schema([(column, pa.null()) for column in header])
    reader = CsvReader(name, layout, schema, widen)
    return schema, reader.batches(chain([body] if body else [], blocks))
