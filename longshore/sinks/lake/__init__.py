"""A file -> one Parquet object in a bucket, whole or not at all."""
