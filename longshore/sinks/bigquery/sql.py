"""SQL text. A script of several statements takes no query parameters, so values are written into it, quoted."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from google.cloud.bigquery import DatasetReference, TableReference

from longshore.errors import LoadError

Value = str | int | float | date | None

LEDGER, LOCK, STAGING = "load_ledger", "load_lock", "load_staging_"
LEDGER_COLUMNS = {
    "table_name": "STRING",
    "slice": "STRING",
    "source": "STRING",
    "fingerprint": "STRING",
    "settings": "STRING",
    "rows_loaded": "INT64",
    "bytes": "INT64",
    "seconds": "FLOAT64",
    "flow_run": "STRING",
    "load_id": "STRING",
    "loaded_at": "TIMESTAMP",
}
DAY = "observation_day"  # the column by which a table that is appended to is partitioned
MOVED = "another run has loaded this slice meanwhile"
MISCOUNTED = "the load job brought another number of rows than the footers of the objects say"
# All that ends a quoted string or begins an escape in it.
ESCAPES = str.maketrans({"\\": r"\\", "'": r"\'", "\n": r"\n", "\r": r"\r"})


@dataclass(frozen=True)
class Place:
    """A table, and beside it the ledger and the lock."""

    dataset: DatasetReference
    table: str

    @property
    def target(self) -> TableReference:
        return self.dataset.table(self.table)

    @property
    def ledger(self) -> str:
        return quoted(self.dataset.table(LEDGER))

    @property
    def lock(self) -> str:
        return quoted(self.dataset.table(LOCK))


@dataclass(frozen=True)
class Slice(Place):
    """The rows of a table that have `value` in `column`. name: the slice's, in the ledger."""

    name: str
    column: str
    value: Value

    @property
    def rows(self) -> str:
        """The slice's rows, as SQL: what follows `SELECT …` and `DELETE`."""
        return f"FROM {quoted(self.target)} WHERE `{self.column}` = {literal(self.value)}"

    @property
    def entry(self) -> str:
        """The ledger's row of the slice, as SQL: what follows `SELECT …` and `DELETE`."""
        return f"FROM {self.ledger} WHERE table_name = {literal(self.table)} AND slice = {literal(self.name)}"


def literal(value: Value) -> str:
    """The value as SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return f"'{value.translate(ESCAPES)}'"
    return f"DATE '{value.isoformat()}'" if isinstance(value, date) else repr(value)


def quoted(table: TableReference) -> str:
    """`project.dataset.table` as SQL."""
    return f"`{table.project}.{table.dataset_id}.{table.table_id}`"


def names(columns: Iterable[str]) -> str:
    return ", ".join(f"`{column}`" for column in columns)


def check_names(dataset: str, table: str) -> None:
    """Raise LoadError for a name that BigQuery does not take, or that is one of our own."""
    if not re.fullmatch(r"\w{1,1024}", dataset, re.ASCII):
        raise LoadError(f"{dataset!r} is no name of a dataset: letters, digits and _ only.")
    if not re.fullmatch(r"[\w-]{1,1024}", table) or table in (LEDGER, LOCK) or table.startswith(STAGING):
        raise LoadError(
            f"{table!r} is no name of a table to load into: letters, digits, _ and - only, not {LEDGER}, {LOCK} or"
            f" {STAGING}…, which are our own."
        )


def make_ledger(place: Place) -> str:
    """Make the ledger, and before it the table whose one row every load updates."""
    columns = ", ".join(f"`{name}` {kind}" for name, kind in LEDGER_COLUMNS.items())
    return (
        f"CREATE TABLE IF NOT EXISTS {place.lock} AS SELECT TRUE AS held;\n"
        f"CREATE TABLE IF NOT EXISTS {place.ledger} ({columns});"
    )


def find_entry(place: Slice, table_is_there: bool) -> str:
    """What the ledger says of the slice, and how many rows it has (there)."""
    there = f"(SELECT COUNT(*) {place.rows})" if table_is_there else "0"
    return f"SELECT load_id, fingerprint, settings, rows_loaded, {there} AS there {place.entry}"


def append(
    place: Place, staging: TableReference, columns: Iterable[str], key: Iterable[str], days: Iterable[date]
) -> str:
    """One transaction: rows whose key the table has leave the staging table, the others, which stay, enter the table.

    days: those of the rows, written out: partitions are left unread only for values that are known beforehand.
    Why the lock: see replace_slice; two appends change no common row but this.
    """
    columns = list(columns)
    same = " AND ".join(f"there.`{name}` = given.`{name}`" for name in key)
    return f"""BEGIN TRANSACTION;
UPDATE {place.lock} SET held = TRUE WHERE TRUE;
DELETE FROM {quoted(staging)} AS given WHERE EXISTS (
  SELECT 1 FROM {quoted(place.target)} AS there
  WHERE there.`{DAY}` IN ({", ".join(map(literal, days))}) AND {same});
INSERT INTO {quoted(place.target)} ({names(columns)}) SELECT {names(columns)} FROM {quoted(staging)};
COMMIT TRANSACTION;"""


def replace_slice(
    place: Slice, staging: TableReference, columns: Iterable[str], before: str, entry: Mapping[str, Value]
) -> str:
    """One transaction: the staging table's rows become the slice, and the ledger says so. On any error, nothing does.

    before: load_id of the ledger's entry as it must still be, "" for none. entry: the one to be, without loaded_at.

    Why the lock: BigQuery cancels one of two transactions that change rows of one table at the same time. Two first
    loads of a slice change none but this.
    """
    columns = list(columns)
    return f"""BEGIN TRANSACTION;
UPDATE {place.lock} SET held = TRUE WHERE TRUE;
SELECT IF((SELECT IFNULL(MAX(load_id), '') {place.entry}) = {literal(before)}, 0, ERROR({literal(MOVED)}));
SELECT IF((SELECT COUNT(*) FROM {quoted(staging)}) = {literal(entry["rows_loaded"])}, 0, ERROR({literal(MISCOUNTED)}));
DELETE {place.rows};
INSERT INTO {quoted(place.target)} ({names([*columns, place.column])})
  SELECT {names(columns)}, {literal(place.value)} FROM {quoted(staging)};
DELETE {place.entry};
INSERT INTO {place.ledger} ({names([*entry, "loaded_at"])})
  VALUES ({", ".join(literal(value) for value in entry.values())}, CURRENT_TIMESTAMP());
COMMIT TRANSACTION;"""
