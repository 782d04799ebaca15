"""The ledger: one row for each slice that is in a table, written in the transaction that put it there."""

import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from uuid import uuid4

from google.api_core.exceptions import NotFound
from google.cloud.bigquery import TableReference

from longshore.errors import LoadError
from longshore.sinks.bigquery import sql
from longshore.sinks.bigquery.service import Job, Service, explained, failure

CONFLICTS = 30  # how often a transaction may be cancelled by others, which each take some seconds


@dataclass(frozen=True)
class Entry:
    """What the ledger says of a slice. load_id: the load that brought it; there: how many rows it has now."""

    load_id: str
    fingerprint: str
    settings: str
    rows_loaded: int
    there: int

    def holds(self, fingerprint: str, settings: str) -> bool:
        """Whether the slice is what a load of this would make it."""
        return (self.fingerprint, self.settings, self.rows_loaded) == (fingerprint, settings, self.there)


NOTHING = Entry("", "", "", 0, 0)


def find(service: Service, place: sql.Slice, table_is_there: bool) -> Entry | None:
    """The slice's entry, NOTHING where the ledger has none; None where there is no ledger."""
    with explained(str(place.target)):
        try:
            found = service.rows(sql.find_entry(place, table_is_there))
        except NotFound:
            return None
    return Entry(**found[0]) if found else NOTHING


def make(service: Service, place: sql.Place) -> None:
    """Make the ledger, and the lock beside it, where there is none."""
    with explained(place.ledger):
        job, _ = service.script(sql.make_ledger(place), f"longshore-ledger-{uuid4().hex}")
    if job.error_result and job.error_result.get("reason") != "duplicate":  # another load made them at the same time
        raise failure(place.ledger, job)


def commit(
    service: Service,
    place: sql.Slice,
    staging: TableReference,
    columns: Iterable[str],
    before: Entry | None,
    new: Entry,
    notes: Mapping[str, sql.Value],
) -> bool:
    """Replace the slice by the staging table's rows, and its entry by the new one; False when another run has loaded
    the same meanwhile. Raises LoadError; then nothing was changed.

    before: the entry as it must still be; notes: what else goes into the ledger. The transaction is tried again when
    another was in its way. Whenever it fails the ledger is asked: it may have been committed by a process that died, or
    for a request whose answer was lost.
    """
    if before is None:
        make(service, place)
        before = NOTHING
    script = sql.replace_slice(place, staging, columns, before.load_id, _row(place, new, notes))
    for failures in count(1):
        with explained(str(place.target)):
            job, ours = service.script(script, f"longshore-{new.load_id}-{failures}")
        if ours and not job.error_result:
            return True
        there = find(service, place, table_is_there=True)
        if there and there.load_id != before.load_id and there.holds(new.fingerprint, new.settings):
            return there.load_id == new.load_id
        if ours:
            retry_or_raise(service, place, job, failures)
        time.sleep(service.backoff.delay(failures) * random.uniform(0.5, 1.5))
    raise AssertionError  # the count has no end


def retry_or_raise(service: Service, place: sql.Place, job: Job, failures: int) -> None:
    """Raise LoadError unless the transaction that failed may be tried again."""
    said = str(job.error_result.get("message"))
    if sql.MOVED in said:
        raise LoadError(f"{place.target}: {sql.MOVED}, from other objects. Run it again.", retryable=True)
    ledger_is_gone = job.error_result.get("reason") == "notFound" and (sql.LOCK in said or sql.LEDGER in said)
    if failures >= CONFLICTS or not (ledger_is_gone or "concurrent update" in said):
        raise failure(str(place.target), job)
    if ledger_is_gone:
        make(service, place)
    service.log.info("%s: the transaction is tried again: %s", place.target, said)


def _row(place: sql.Slice, new: Entry, notes: Mapping[str, sql.Value]) -> dict[str, sql.Value]:
    entry = {name: getattr(new, name) for name in ("load_id", "fingerprint", "settings", "rows_loaded")}
    return {"table_name": place.table, "slice": place.name, **entry, **notes}
