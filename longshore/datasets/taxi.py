"""NYC taxi trips: one file per colour and month, as published by DataTalksClub.

Source: https://github.com/DataTalksClub/nyc-tlc-data/releases (csv.gz, 2019-01 to 2021-07).
"""

import os
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from longshore.errors import UsageError
from longshore.rows.kept import Rule
from longshore.schemas import declared_schema

DEFAULT_YEAR = 2021
CITY = ZoneInfo("America/New_York")


def base_url() -> str:
    """Where the files are; TAXI_URL names another place with the same layout."""
    default = "https://github.com/DataTalksClub/nyc-tlc-data/releases/download"
    return (os.environ.get("TAXI_URL") or default).rstrip("/")


@dataclass(frozen=True)
class Trips:
    """The trips of one colour.

    columns: name -> SQL type, in the file's order. pickup: the column that tells when a trip began. table, rides: its
    default table in Postgres, in BigQuery. rule: which rows web-to-postgres keeps.
    """

    color: str
    table: str
    rides: str
    columns: dict[str, str]
    pickup: str
    rule: Rule

    @property
    def schema(self) -> pa.Schema:
        return declared_schema(self.columns)

    def url(self, month: date) -> str:
        return f"{base_url()}/{self.color}/{self.file(month)}"

    def file(self, month: date) -> str:
        return f"{self.color}_tripdata_{month:%Y-%m}.csv.gz"

    def slice(self, month: date) -> str:
        """What the month's rows are called in ledgers and logs."""
        return f"{self.color} {month:%Y-%m}"

    def object(self, month: date) -> str:
        """The month's Parquet object in the bucket."""
        return f"data/{self.color}/{self.color}_tripdata_{month:%Y-%m}.parquet"


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
NO_ZERO_PASSENGERS = Rule({"0 passengers": lambda batch: pc.equal(batch["passenger_count"], 0)})

COLORS = {
    trips.color: trips
    for trips in (
        Trips("yellow", "yellow_taxi_trips", "rides", YELLOW, "tpep_pickup_datetime", NO_ZERO_PASSENGERS),
        Trips("green", "green_taxi_trips", "green_rides", GREEN, "lpep_pickup_datetime", NO_ZERO_PASSENGERS),
    )
}


def color(name: str) -> Trips:
    """The trips of a colour. Raises UsageError for one that nobody knows."""
    if name not in COLORS:
        raise UsageError(f"There are no {name!r} taxi trips. Known colors: {', '.join(sorted(COLORS))}.")
    return COLORS[name]


def months_of(year: int | None, months: list[int] | None, scheduled: datetime) -> list[date]:
    """The first days of the months meant: those given, all of a year given alone, else the month before.

    scheduled: the run's scheduled start; a late run still means its own month, by New York's calendar.
    Raises UsageError for a month that cannot be.
    """
    today = scheduled.astimezone(CITY).date()
    if year is None and months is None:
        return [date(today.year - (today.month == 1), (today.month - 2) % 12 + 1, 1)]
    year = DEFAULT_YEAR if year is None else year
    months = list(range(1, 13)) if months is None else months
    wrong = [month for month in months if not 1 <= month <= 12]
    if wrong or not months or not 2009 <= year <= 9999:
        raise UsageError(
            f"No such month: {year}-{wrong[0] if wrong else 'none'}. Years are from 2009, months from 1 to 12."
        )
    first_days = [date(year, month, 1) for month in dict.fromkeys(months)]
    future = [day for day in first_days if day > today]
    if future:
        raise UsageError(f"{future[0]:%Y-%m} is in the future: there is no file yet (today is {today}).")
    return first_days
