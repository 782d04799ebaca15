"""The dataset and the table that slices go into: made where there are none, and refused where they are others."""

from collections.abc import Sequence

from google.api_core.exceptions import Forbidden, NotFound
from google.cloud import bigquery, storage

from longshore.errors import LoadError
from longshore.sinks.bigquery.columns import check_columns, table_columns
from longshore.sinks.bigquery.service import Service, explained
from longshore.sources.footer import TIMEOUT


def find_dataset(service: Service, name: str, location: str | None) -> bigquery.Dataset | None:
    """The dataset, None where there is none. Raises LoadError when it is not in the location asked for."""
    with explained(f"dataset {name}"):
        try:
            dataset = service.client.get_dataset(name, **service.calls)
        except NotFound:
            return None
    if location and dataset.location and dataset.location.lower() != location.lower():
        raise LoadError(
            f"Dataset {dataset.project}.{name} is in {dataset.location}, not in {location}, and cannot be moved. Leave"
            " location out, or load into another dataset."
        )
    return dataset


def make_dataset(
    service: Service, name: str, location: str | None, bucket: storage.Bucket | None = None
) -> bigquery.Dataset:
    """A dataset in the location, or where the bucket is: a load job reads no bucket that is elsewhere."""
    dataset = bigquery.Dataset(f"{service.client.project}.{name}")
    if location := location or (bucket and _location_of(bucket, service)):
        dataset.location = location
    with explained(f"dataset {name}"):
        try:
            made = service.client.create_dataset(dataset, exists_ok=True, **service.calls)
        except Forbidden as error:
            raise LoadError(
                f"There is no dataset {name}, and this account may not make one. Let somebody who may:"
                f" bq mk --location={location or 'US'} --dataset {service.client.project}:{name}"
            ) from error
    service.log.info("Made the dataset %s in %s.", name, made.location)
    return made


def _location_of(bucket: storage.Bucket, service: Service) -> str | None:
    """Where the bucket is; None, BigQuery's default, for an account that may not know."""
    try:
        bucket.reload(timeout=TIMEOUT, retry=service.calls["retry"])
    except Forbidden:
        service.log.info("The account may not see where %s is (storage.buckets.get).", bucket.name)
        return None
    location: str | None = bucket.location
    return location


def find_table(service: Service, table: bigquery.TableReference) -> bigquery.Table | None:
    with explained(str(table)):
        try:
            return service.client.get_table(table, **service.calls)
        except NotFound:
            return None


def new_table(
    reference: bigquery.TableReference,
    columns: dict[str, str],
    mark: bigquery.SchemaField,
    cluster: Sequence[str],
    by: str = bigquery.TimePartitioningType.MONTH,
) -> bigquery.Table:
    """The table to be made. mark: the last column; a DATE partitions the table. by: how long a partition is."""
    table = bigquery.Table(reference, [*fields(columns), mark])
    if mark.field_type == "DATE":
        table.time_partitioning = bigquery.TimePartitioning(by, field=mark.name)
    table.clustering_fields = cluster
    return table


def make_table(service: Service, table: bigquery.Table) -> None:
    """Make the table. Raises LoadError when another one has come meanwhile."""
    with explained(str(table.reference)):
        made = service.client.create_table(table, exists_ok=True, **service.calls)
    check_table(made, table)


def fields(columns: dict[str, str]) -> list[bigquery.SchemaField]:
    return [bigquery.SchemaField(name, kind) for name, kind in columns.items()]


def check_table(found: bigquery.Table, wanted: bigquery.Table) -> None:
    """Raise LoadError unless the table that is there tells slices apart as wanted, and has the wanted columns."""
    name, mark = f"Table {found.reference}", wanted.schema[-1]
    check_kind(found)
    columns = table_columns(found)
    if columns.get(mark.name) != mark.field_type:
        raise LoadError(
            f"{name} has no column {mark.name!r} ({mark.field_type}) that tells the slices apart. Load into another"
            " table, or drop this one: it is made anew."
        )
    partition = found.time_partitioning and (found.time_partitioning.field or "the time of loading")
    if wanted.time_partitioning and partition != mark.name:
        raise LoadError(
            f"{name} is partitioned by {partition or 'nothing'}, not by {mark.name!r}: a reload would search all of"
            " it. Load into another table, or drop this one: it is made anew."
        )
    known = table_columns(wanted)
    check_columns(name, {column: kind for column, kind in columns.items() if column in known}, known, "the slice")


def check_kind(found: bigquery.Table) -> None:
    """Raise LoadError for a view and the like, into which no rows go."""
    if found.table_type != "TABLE":
        raise LoadError(f"Table {found.reference} is a {found.table_type}. Load into another table.")
