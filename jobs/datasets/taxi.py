"""NYC taxi trips: one file per colour and month, as published by DataTalksClub.

Source: https://github.com/DataTalksClub/nyc-tlc-data/releases (csv.gz, 2019-01 to 2021-07).
"""

import os
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from jobs.common.errors import LoadError
from jobs.common.rules import Rule
from jobs.common.schemas import declared_schema

DEFAULT_YEAR = 2021
CITY = ZoneInfo("America/New_York")


def base_url() -> str:
    """Where the files are; TAXI_URL names another place with the same layout."""
    default = "https://github.com/DataTalksClub/nyc-tlc-data/releases/download"
    return (os.environ.get("TAXI_URL") or default).rstrip("/")


@dataclass(frozen=True)
class Dataset:
    """columns: name -> SQL type, in the file's order. table, rides: its default table in Postgres, in BigQuery."""

    name: str
    table: str
    rides: str
    columns: dict[str, str]

    @property
    def schema(self) -> pa.Schema:
        return declared_schema(self.columns)

    @property
    def pickup(self) -> str:
        """The column with the time at which a trip began."""
        return next(column for column in self.columns if column.endswith("pickup_datetime"))

    def url(self, month: date) -> str:
        return f"{base_url()}/{self.name}/{self.file(month)}"

    def file(self, month: date) -> str:
        return f"{self.name}_tripdata_{month:%Y-%m}.csv.gz"

    def slice(self, month: date) -> str:
        """What the month's rows are called in ledgers and logs."""
        return f"{self.name} {month:%Y-%m}"

    def object(self, month: date) -> str:
        """The month's Parquet object in the bucket."""
        return f"data/{self.name}/{self.name}_tripdata_{month:%Y-%m}.parquet"


YELLOW = {
    "VendorID": "integer",
    "tpep_pickup_datetime": "timestamp",
    "tpep_dropoff_datetime": "timestamp",
    "passenger_count": "integer",
    "trip_distance": "double precision",
    "RatecodeID": "integer",
    "store_and_fwd_flag": "text",
    "PULocationID": "integer",
    "DOLocationID": "integer",
    "payment_type": "integer",
    "fare_amount": "double precision",
    "extra": "double precision",
    "mta_tax": "double precision",
    "tip_amount": "double precision",
    "tolls_amount": "double precision",
    "improvement_surcharge": "double precision",
    "total_amount": "double precision",
    "congestion_surcharge": "double precision",
}
GREEN = {
    "VendorID": "integer",
    "lpep_pickup_datetime": "timestamp",
    "lpep_dropoff_datetime": "timestamp",
    "store_and_fwd_flag": "text",
    "RatecodeID": "integer",
    "PULocationID": "integer",
    "DOLocationID": "integer",
    "passenger_count": "integer",
    "trip_distance": "double precision",
    "fare_amount": "double precision",
    "extra": "double precision",
    "mta_tax": "double precision",
    "tip_amount": "double precision",
    "tolls_amount": "double precision",
    "ehail_fee": "double precision",
    "improvement_surcharge": "double precision",
    "total_amount": "double precision",
    "payment_type": "integer",
    "trip_type": "integer",
    "congestion_surcharge": "double precision",
}
DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset("yellow", "yellow_taxi_trips", "rides", YELLOW),
        Dataset("green", "green_taxi_trips", "green_rides", GREEN),
    )
}

NO_ZERO_PASSENGERS = Rule({"0 passengers": lambda batch: pc.equal(batch["passenger_count"], 0)})


def dataset(name: str) -> Dataset:
    if name not in DATASETS:
        raise LoadError(f"There is no data set {name!r}. Known: {', '.join(sorted(DATASETS))}.")
    return DATASETS[name]


def months_of(year: int | None, months: list[int] | None, scheduled: datetime) -> list[date]:
    """The first days of the months meant: those given, all of a year given alone, else the month before.

    scheduled: the run's scheduled start; a late run still means its own month, by New York's calendar.
    Raises LoadError for a month that cannot be.
    """
    today = scheduled.astimezone(CITY).date()
    if year is None and months is None:
        return [date(today.year - (today.month == 1), (today.month - 2) % 12 + 1, 1)]
    year = DEFAULT_YEAR if year is None else year
    months = list(range(1, 13)) if months is None else months
    wrong = [month for month in months if not 1 <= month <= 12]
    if wrong or not months or not 2009 <= year <= 9999:
        raise LoadError(
            f"No such month: {year}-{wrong[0] if wrong else 'none'}. Years are from 2009, months from 1 to 12."
        )
    first_days = [date(year, month, 1) for month in dict.fromkeys(months)]
    future = [day for day in first_days if day > today]
    if future:
        raise LoadError(f"{future[0]:%Y-%m} is in the future: there is no file yet (today is {today}).")
    return first_days
