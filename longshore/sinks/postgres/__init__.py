"""A file -> one slice of a Postgres table, exactly once."""
