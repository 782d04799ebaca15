"""A file of a GTFS zip -> Arrow, block by block: the columns that are asked for, as text."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from longshore.errors import LoadError
from longshore.rows.fit import first_misfit
from longshore.sources.zip import Unpacked, Zip

BLOCK = 1 << 20  # bytes; no row may be longer
# Of a file, unpacked: a region's stop_times.txt has several hundred MB, and is filtered while it streams.
MOST_BYTES = {"stop_times.txt": 4 << 30}
LONGEST_HEADER = 64 << 10
BOM = "\ufeff"

Keep = Callable[[pa.RecordBatch], pa.Array]
Convert = Callable[[pa.ChunkedArray], pa.ChunkedArray]
InFile = Callable[[int], int]  # a row's place among some -> its number in the file, the first being 1


def batches(gtfs: Zip, member: str, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
    """All rows, in text columns; an empty field is null, and so is an optional column that is not there.

    Raises LoadError for a missing file or column, and with the row for what is no CSV.
    """
    where, rows = f"{gtfs.name}: {member}", 0
    with gtfs.open(member, MOST_BYTES.get(member)) as file:
        header = _header(file, where, required)
        columns = [*required, *optional]
        try:
            for batch in _reader(file, header, columns):
                yield batch
                rows += batch.num_rows
        except pa.ArrowInvalid as error:
            if str(error) == "Empty CSV file":  # a header and nothing else
                return
            raise _no_csv(where, str(error), rows) from error
        if file.quotes % 2 and file.lines > rows + 1:  # it took all rows behind it for one field
            raise LoadError(f"{where}, row {rows:,}: a quoted field has no end. Correct the file.")


def table(
    gtfs: Zip, member: str, required: Sequence[str], optional: Sequence[str] = (), keep: Keep | None = None
) -> pa.Table:
    """The rows for which keep(batch) is true, or all of them. Raises LoadError as `batches` does."""
    found = [batch.filter(keep(batch)) if keep else batch for batch in batches(gtfs, member, required, optional)]
    return pa.Table.from_batches(found, _text([*required, *optional])).combine_chunks()


def _text(columns: Sequence[str]) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in columns])


def _header(file: Unpacked, where: str, required: Sequence[str]) -> list[str]:
    line = file.readline(LONGEST_HEADER)
    try:
        text = line.decode().removeprefix(BOM).strip()
    except UnicodeDecodeError as error:
        raise LoadError(f"{where} is not UTF-8: its header begins with {line[:20]!r}. Save it as UTF-8.") from error
    try:
        names = [name.strip() for name in next(csv.reader([text]), [])]
    except csv.Error as error:
        raise LoadError(f"{where}: the header cannot be read: {text[:60]!r}. End each line with LF or CRLF.") from error
    if not names:
        raise LoadError(f"{where} is empty: it has no header.")
    missing = [column for column in required if column not in names]
    if missing:
        raise LoadError(
            f"{where} lacks the column {', '.join(missing)}; it has {', '.join(names)[:500]}. Correct the file."
        )
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise LoadError(f"{where} has the column {twice[0]!r} twice. Correct the header.")
    return names


def _no_csv(where: str, said: str, rows: int) -> LoadError:
    """rows: those of the blocks before, for what Arrow says without the row."""
    row = re.search(r"Row #(\d+): (.*)", said, re.DOTALL)
    place, what = (int(row[1]), row[2]) if row else (rows + 1, said)
    return LoadError(f"{where}, row {place:,}{'' if row else ' or later'}: {what[:300]}. Correct the file.")


def _reader(file: Unpacked, header: Sequence[str], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    schema = _text(columns)
    reader = arrow_csv.open_csv(
        pa.PythonFile(file, "r"),
        # One thread: rows of another width are numbered, and memory is one block's.
        read_options=arrow_csv.ReadOptions(column_names=header, block_size=BLOCK, use_threads=False),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types=schema,
            include_columns=columns,
            include_missing_columns=True,
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
    yield from reader


def check_key(rows: pa.Table, column: str, where: str) -> None:
    """Raise LoadError unless each row has a value of its own in the column."""
    values, counts = rows[column].value_counts().flatten()
    if rows[column].null_count:
        raise LoadError(f"{where} has a row without {column}. Correct the file.")
    twice = values.filter(pc.greater(counts, 1))
    if len(twice):
        raise LoadError(f"{where} has {column} {twice[0].as_py()!r} twice. Correct the file.")


def converted(
    rows: pa.Table, column: str, convert: Convert, wanted: str, where: str, key: str, in_file: InFile | None = None
) -> pa.ChunkedArray:
    """convert(the column). Raises LoadError with the first value that is not `wanted`, and the key of its row; and
    the row's number where in_file tells it, of rows that are not all of the file's.
    """
    try:
        return convert(rows[column])
    except (pa.ArrowInvalid, LoadError) as error:

        def fits(some: Sequence[int]) -> bool:
            try:
                convert(rows[column].slice(some[0], len(some)))
            except (pa.ArrowInvalid, LoadError):
                return False
            return True

        row = first_misfit(range(rows.num_rows), fits)
        value, name = rows[column][row].as_py() or "", rows[key][row].as_py()
        number = f", row {in_file(row):,}" if in_file else ""
        raise LoadError(
            f"{where}{number}, {key} {name!r}, column {column!r}: {value[:60]!r} is not {wanted}. Correct the file."
        ) from error


def integers(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers; an empty text is refused, for GTFS's numbers of this kind are keys."""
    return pc.utf8_trim_whitespace(text.fill_null("")).cast(pa.int32())


def doubles(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers; null stays null."""
    return pc.utf8_trim_whitespace(text).cast(pa.float64())
