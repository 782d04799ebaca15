"""Column types: SQL names <-> Arrow types, and how one type gives way to a wider one."""

import pyarrow as pa

from longshore.errors import LoadError, UsageError

JSONB = {b"postgres": b"jsonb"}  # a text column of this metadata is stored as jsonb

ARROW_TYPES: dict[str, pa.DataType] = {
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "boolean": pa.bool_(),
    "text": pa.string(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "jsonb": pa.string(),
}
POSTGRES_TYPES: dict[pa.DataType, str] = {kind: name for name, kind in ARROW_TYPES.items() if name != "jsonb"}
INTEGERS = (pa.int16(), pa.int32(), pa.int64())


def declared_schema(columns: dict[str, str]) -> pa.Schema:
    """An Arrow schema from column -> SQL type name (the names in ARROW_TYPES, or numeric(p, s))."""
    fields = []
    for name, sql in columns.items():
        kind = ARROW_TYPES.get(sql.lower()) or _numeric(sql)
        if kind is None:
            known = ", ".join([*ARROW_TYPES, "numeric(precision, scale)"])
            raise UsageError(f"Column {name!r}: unknown type {sql!r}. Known types: {known}.")
        fields.append(pa.field(name, kind, metadata=JSONB if sql.lower() == "jsonb" else None))
    return pa.schema(fields)


def _numeric(sql: str) -> pa.DataType | None:
    head, _, rest = sql.lower().replace(" ", "").partition("(")
    precision, _, scale = rest.rstrip(")").partition(",")
    if head != "numeric" or not precision.isdigit() or not (scale or "0").isdigit():
        return None
    return pa.decimal128(int(precision), int(scale or 0)) if 0 < int(precision) <= 38 else None


def postgres_type(field: pa.Field) -> str:
    """The Postgres type that holds every value of the column."""
    if field.metadata and field.metadata.get(b"postgres") == b"jsonb":
        return "jsonb"
    if pa.types.is_decimal(field.type):
        return f"numeric({field.type.precision},{field.type.scale})"
    if pa.types.is_null(field.type):
        return "text"
    return POSTGRES_TYPES[field.type]


def storable(field: pa.Field) -> pa.Field:
    """The column with the supported type that holds every value of the type a file has or a reader infers."""
    kind = field.type
    types = pa.types
    if types.is_dictionary(kind):
        return storable(field.with_type(kind.value_type))
    if types.is_nested(kind):
        return pa.field(field.name, pa.string(), metadata=JSONB)
    if types.is_null(kind) or kind in POSTGRES_TYPES:
        stored = kind
    elif types.is_int8(kind) or types.is_uint8(kind):
        stored = pa.int16()
    elif types.is_uint16(kind):
        stored = pa.int32()
    elif types.is_uint32(kind):
        stored = pa.int64()
    elif types.is_uint64(kind):
        stored = pa.decimal128(20, 0)
    elif types.is_float16(kind):
        stored = pa.float32()
    elif types.is_timestamp(kind):
        stored = pa.timestamp("us", tz="UTC" if kind.tz else None)
    elif types.is_date(kind):
        stored = pa.date32()
    elif types.is_time(kind):
        stored = pa.time64("us")
    elif types.is_decimal(kind) and kind.precision <= 38:
        stored = pa.decimal128(kind.precision, kind.scale)
    elif types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        stored = pa.binary()
    else:
        stored = pa.string()
    return pa.field(field.name, stored)


def wider(old: pa.DataType, new: pa.DataType) -> pa.DataType:
    """The narrowest supported type that holds both."""
    if old == new or pa.types.is_null(new):
        return old
    if pa.types.is_null(old):
        return new
    if old in INTEGERS and new in INTEGERS:
        return max(old, new, key=INTEGERS.index)
    if {old, new} <= {*INTEGERS, pa.float32(), pa.float64()}:
        return pa.float64()
    return pa.string()


def check_names(name: str, found: list[str], schema: pa.Schema | None) -> None:
    """A file's columns are distinct, and just the schema's where there is one; their order is free."""
    if not found or "" in found:
        raise LoadError(f"{name} has no header with a name for every column. Correct the header.")
    twice = sorted({column for column in found if found.count(column) > 1})
    if twice:
        raise LoadError(f"{name} has the column {twice[0]!r} twice. Correct the header.")
    if schema is None:
        return
    missing = [column for column in schema.names if column not in found]
    extra = [column for column in found if column not in schema.names]
    if missing or extra:
        says = [f"it lacks {', '.join(missing)}"] if missing else []
        says += [f"it has {', '.join(extra)}, which nobody expects"] if extra else []
        raise LoadError(f"{name} has other columns than declared: {'; '.join(says)}. Is it the right file?")
