"""The latest late_buses.csv: of a bucket, a file or an address."""

import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pyarrow as pa
from google.cloud.storage.retry import DEFAULT_RETRY

from dashboards.cloud import explained, storage_client
from jobs.late_buses.late_csv import from_csv
from longshore.errors import LoadError

SECONDS = 10.0  # to wait for an answer: a person is looking at the page
ADVICE = "Run the job late-buses, which writes it, or correct LATE_BUSES."


@dataclass(frozen=True)
class Latest:
    """rows: the table LATE, the latest bus first. modified: when it was written, None where that is not told."""

    rows: pa.Table
    modified: datetime | None

    def minutes(self, now: datetime) -> float | None:
        """How old it is."""
        return max((now - self.modified).total_seconds(), 0.0) / 60 if self.modified else None


def latest(place: str) -> Latest:
    """What is at gs://BUCKET/OBJECT, http(s)://… or a path. Raises LoadError that says what to do."""
    scheme = urlsplit(place).scheme
    if scheme == "gs":
        data, modified = _of_bucket(place)
    elif scheme in ("http", "https"):
        data, modified = _of_address(place)
    else:
        data, modified = _of_file(Path(place))
    name = place.rsplit("/", 1)[-1].partition("?")[0]
    return Latest(checked(from_csv(data, name), name), modified)


def checked(rows: pa.Table, name: str) -> pa.Table:
    """The same rows, whose times can be shown. Raises LoadError for a time zone that nobody knows."""
    for zone in rows["timezone"].unique().to_pylist():
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError, TypeError) as error:
            raise LoadError(f"{name}, column 'timezone': there is no time zone {zone!r}. {ADVICE}") from error
    return rows


def _of_bucket(place: str) -> tuple[bytes, datetime | None]:
    where = urlsplit(place)
    if not where.netloc or not where.path.strip("/"):
        raise LoadError(f"LATE_BUSES is {place!r}. It takes gs://BUCKET/late_buses.csv.")
    with explained(place, ADVICE):
        retry = DEFAULT_RETRY.with_timeout(2 * SECONDS)
        blob = storage_client().bucket(where.netloc).get_blob(where.path[1:], timeout=SECONDS, retry=retry)
        if blob is None:
            raise LoadError(f"{place}: there is no such object, or it is not yours to see. {ADVICE}")
        # Written anew in between, the rows are newer than the time says: a second at most.
        return blob.download_as_bytes(timeout=SECONDS, retry=retry), blob.updated


def _of_address(place: str) -> tuple[bytes, datetime | None]:
    public = urlsplit(place)._replace(query="", fragment="", netloc=urlsplit(place).netloc.rpartition("@")[2]).geturl()
    try:
        with urllib.request.urlopen(place, timeout=SECONDS) as answer:  # noqa: S310 http or https, see above
            told = answer.headers.get("Last-Modified")
            return answer.read(), parsedate_to_datetime(told).astimezone(UTC) if told else None
    except urllib.error.HTTPError as error:
        raise LoadError(f"{public}: HTTP {error.code} {error.reason}. {ADVICE}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise LoadError(f"{public} cannot be read: {reason}. It is tried again.", retryable=True) from error


def _of_file(path: Path) -> tuple[bytes, datetime | None]:
    try:
        with path.open("rb") as file:
            return file.read(), datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
    except FileNotFoundError as error:
        raise LoadError(f"{path}: there is no such file. {ADVICE}") from error
    except OSError as error:
        raise LoadError(f"{path} cannot be read: {error.strerror}. Correct its rights, or LATE_BUSES.") from error
