"""The ledger: one row for each slice that is in a table, written in the transaction that put it there."""

import random
import time
from dataclasses import dataclass
from itertools import count
from uuid import uuid4

from google.api_core.exceptions import NotFound

from jobs.common.bigquery import sql
from jobs.common.bigquery.service import Service, explained, failure
from jobs.common.errors import LoadError

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


def find(service: Service, place: sql.Slice, table_is_there: bool) -> Entry | None:
    """The slice's entry; None where there is none, or no ledger."""
    with explained(str(place.target)):
        try:
            found = service.rows(sql.find_entry(place, table_is_there))
        except NotFound:
            return None
    return Entry(**found[0]) if found else None


def ensure(service: Service, place: sql.Slice) -> None:
    """Make the ledger where there is none."""
    with explained(place.ledger):
        job, _ = service.script(sql.make_books(place), f"longshore-books-{uuid4().hex}")
    if job.error_result and job.error_result.get("reason") != "duplicate":  # another load made them at the same time
        raise failure(place.ledger, job)


def commit(service: Service, place: sql.Slice, script: str, new: Entry) -> bool:
    """Run the transaction until it is committed; False when another run has loaded the same meanwhile.

    It is tried again when another transaction was in its way. Whenever it fails the ledger is asked: it may have been
    committed by a process that died, or for a request whose answer was lost.
    """
    name = f"{place.target} {place.name}"
    for failures in count(1):
        with explained(name):
            job, ours = service.script(script, f"longshore-{new.load_id}-{failures}")
        if not job.error_result:
            return True
        there = find(service, place, table_is_there=True)
        if there and there.holds(new.fingerprint, new.settings):
            return there.load_id == new.load_id
        said = str(job.error_result.get("message"))
        if sql.MOVED in said:
            raise LoadError(f"{name}: {sql.MOVED}, from other objects. Run it again.", transient=True)
        if ours and ("concurrent update" not in said or failures >= CONFLICTS):
            raise failure(name, job)
        service.log.info("%s: another load was in the way of the transaction; trying again.", name)
        time.sleep(service.backoff.delay(failures) * random.uniform(0.5, 1.5))
    raise AssertionError  # the count has no end
