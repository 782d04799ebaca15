"""The live feed becomes the newest positions, and one object more of their history."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from jobs.late_buses import source, store
from jobs.late_buses.feed import observed_at, positions
from jobs.late_buses.store import Store, by_day
from longshore import report
from longshore.backoff import Log
from longshore.flows.steps import clock
from longshore.report import Report
from longshore.sources.web import open_url

KEY_REFUSED = "the API key is refused: correct BODS_API_KEY, or the Secret block, which `make deploy` fills with it."
ADVICE = {401: KEY_REFUSED, 403: KEY_REFUSED, 404: "there is no feed: correct feed_url or BUS_FEED_URL."}


@dataclass(frozen=True)
class Fetch:
    """A look at the feed. area: see `source.query`."""

    url: str
    area: Mapping[str, float] | None = None
    title: str = "live positions"
    target: str = store.LIVE
    slice: str = store.LIVE


def run(fetch: Fetch, bucket: str, key: str, log: Log) -> Report:
    """One row a vehicle and trip in the bucket. An empty feed is no error: buses sleep too.

    Raises LoadError for a key that is refused, and for an answer that is no feed.
    """
    started = time.monotonic()
    url = f"{fetch.url}?{source.query(fetch.area, source.api_key(key))}"
    with open_url(url, log, advice=ADVICE) as remote:
        live = positions(b"".join(remote.chunks()), remote.name)
    place = Store.of(bucket)
    place.write_rows(by_day("live_location", observed_at(live) or clock(None), "parquet"), live)
    target, rows = place.write_rows(store.LIVE, live)
    return report.loaded(replace(fetch, target=target), started, rows, rows, bytes=remote.bytes_received)
