"""Web to Postgres: each file of a data set becomes one slice of a table, exactly once."""

from prefect import flow


@flow(name="web-to-postgres")
def web_to_postgres(
    dataset: str | None = "yellow",
    year: int | None = None,
    months: list[int] | None = None,
    url: str | None = None,
    table: str | None = None,
    file_format: str | None = None,
    columns: dict[str, str] | None = None,
    keep_zero_passengers: bool = False,
    force: bool = False,
    connector: str = "postgres-connector",
) -> None:
    """Load months of a taxi data set, or any one file, into Postgres."""
    raise NotImplementedError
