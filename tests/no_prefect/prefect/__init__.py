"""Stands in Prefect's place where a test shows that nothing imports it."""

raise ImportError("Prefect is banned here")
