"""Column types: Arrow and Parquet -> BigQuery, and whether the columns of an object are those that a table takes."""

import re

import pyarrow as pa
from google.cloud import bigquery

from longshore.errors import LoadError

# Without flexible column names, which a project has to ask for.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
# The service answers with the names of old, the emulator with those of today.
OLD_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}


def bigquery_type(kind: pa.DataType) -> str | None:
    """The BigQuery type into which a Parquet column of this type loads with every value kept; None: there is none.

    Text that holds JSON is a STRING: a JSON column takes no Parquet text. Nanoseconds, half floats and nested columns
    have no type.
    """
    types = pa.types
    if types.is_dictionary(kind):
        return bigquery_type(kind.value_type)
    if types.is_decimal(kind):
        return _decimal(kind)
    if types.is_timestamp(kind) or types.is_time(kind):
        if kind.unit == "ns":
            return None
        return "TIME" if types.is_time(kind) else "TIMESTAMP" if kind.tz else "DATETIME"
    fits = {
        "INT64": types.is_integer(kind),  # an unsigned one above 2**63 fails the load job
        "FLOAT64": types.is_float32(kind) or types.is_float64(kind),
        "BOOL": types.is_boolean(kind),
        "STRING": types.is_string(kind) or types.is_large_string(kind),
        "BYTES": types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind),
        "DATE": types.is_date(kind),
    }
    return next((name for name, fit in fits.items() if fit), None)


def _decimal(kind: pa.DataType) -> str | None:
    whole = kind.precision - kind.scale
    if 0 <= kind.scale <= 9 and whole <= 29:
        return "NUMERIC"
    return "BIGNUMERIC" if 0 <= kind.scale <= 38 and whole <= 38 else None


def columns_of(name: str, schema: pa.Schema) -> dict[str, str]:
    """Column -> BigQuery type, in the order of the schema of what is called `name`. Raises LoadError for a column that
    BigQuery cannot have.
    """
    columns: dict[str, str] = {}
    for field in schema:
        kind = bigquery_type(field.type)
        where = f"{name}: column {field.name!r}"
        if kind is None:
            raise LoadError(f"{where} is {field.type}, for which BigQuery has no type. Write it as another one.")
        if not NAME.fullmatch(field.name):
            raise LoadError(
                f"{where}: BigQuery takes names of letters, digits and _, at most 300, not beginning with a digit."
                " Rename it."
            )
        if field.name.lower() in map(str.lower, columns):
            raise LoadError(f"{where} is there twice: BigQuery does not tell upper from lower case. Rename one.")
        columns[field.name] = kind
    return columns


def table_columns(table: bigquery.Table) -> dict[str, str]:
    """Column -> BigQuery type of a table that is there."""
    return {field.name: OLD_NAMES.get(field.field_type, field.field_type) for field in table.schema}


def check_columns(name: str, found: dict[str, str], expected: dict[str, str], whose: str) -> None:
    """Raise LoadError unless the columns are those expected; their order is free. whose: who expects them."""
    missing = [column for column in expected if column not in found]
    extra = [column for column in found if column not in expected]
    if missing or extra:
        says = [f"it lacks {', '.join(missing)}"] if missing else []
        says += [f"it has {', '.join(extra)}, which nobody expects"] if extra else []
        raise LoadError(f"{name} has other columns than {whose}: {'; '.join(says)}. Is it the right one?")
    for column, kind in found.items():
        if kind != expected[column]:
            raise LoadError(f"{name}: column {column!r} is {kind}, but {expected[column]} in {whose}.")
