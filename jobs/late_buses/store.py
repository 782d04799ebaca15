"""Where the flows keep what they hand to each other: objects below the folder of a GcsBucket block."""

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from google.cloud import storage

from longshore.backoff import Backoff
from longshore.flows import blocks
from longshore.formats.parquet_parts import parquet_file
from longshore.google import Bucket, explained, retries
from longshore.sinks.lake import whole

LIVE = "live_location/live_location.parquet"
TIMETABLE = "current_timetable/timetable_today.parquet"
LATE = "late_buses.csv"
NO_TIMETABLE = "Run get-bus-timetables first; master-flow does so by itself."
NO_POSITIONS = "Run get-live-bus-locations first; master-flow does so by itself."
NO_LATE = "Run compare-bus-times first; master-flow does so by itself."


def by_day(folder: str, at: datetime, ending: str) -> str:
    """The object of one moment in a history that is kept by day, in UTC: the same moment is the same object."""
    return f"{folder}/day={at:%Y-%m-%d}/{at:%H%M%S}.{ending}"


@dataclass(frozen=True)
class Store:
    """A bucket, and what the flows keep in it."""

    place: Bucket

    @property
    def bucket(self) -> storage.Bucket:
        return self.place.bucket

    @classmethod
    def of(cls, name: str) -> "Store":
        """The bucket of a block; GCS_BUCKET takes its place."""
        return cls(blocks.bucket(name))

    def path(self, path: str) -> str:
        return self.place.path(path)

    def uri(self, path: str) -> str:
        return self.place.uri(path)

    def write(self, path: str, data: bytes, content_type: str, notes: dict[str, str] | None = None) -> str:
        return whole.write(self.bucket, self.path(path), data, content_type, notes)

    def write_rows(
        self, path: str, rows: pa.Table | pa.RecordBatchReader, notes: dict[str, str] | None = None
    ) -> tuple[str, int]:
        """Where the rows are now, and how many."""
        data, count = parquet_file(rows)
        return self.write(path, data, whole.PARQUET, notes), count

    def read(self, path: str, advice: str) -> bytes:
        return whole.read(self.bucket, self.path(path), advice)

    def read_table(self, path: str, advice: str, dictionaries: bool = False) -> pa.Table:
        return whole.read_parquet(self.bucket, self.path(path), advice, dictionaries)

    def notes(self, path: str) -> dict[str, str] | None:
        """What was noted with an object, None where there is none."""
        with explained(self.uri(path)):
            found = self.bucket.get_blob(self.path(path), retry=retries(Backoff()))
        return dict(found.metadata or {}) if found else None
