"""Bytes of a file, whatever its format -> typed Arrow record batches."""
