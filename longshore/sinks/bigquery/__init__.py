"""Parquet objects in a bucket -> one slice of a BigQuery table, exactly once."""
