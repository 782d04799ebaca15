"""How often to try again what may succeed later, and how long to wait in between."""

import logging
import os
import time
from dataclasses import dataclass, field
from typing import Any

from longshore.errors import LoadError

Log = logging.Logger | logging.LoggerAdapter[Any]

RETRY_STATUS = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Backoff:
    """How often and how long to wait before giving up: `first` seconds, doubled each time, at most 60."""

    attempts: int = 6
    first: float = field(default_factory=lambda: float(os.environ.get("RETRY_DELAY_SECONDS") or 1))

    def delay(self, failures: int) -> float:
        return min(self.first * 2.0 ** (failures - 1), 60.0)

    def wait(self, name: str, broken: "Broken", failures: int, position: int, log: Log) -> None:
        """Wait before the next attempt. Raises a retryable LoadError when it would be one too many.

        position: the byte of the file called `name` at which it broke.
        """
        where, why = f" at byte {position:,}" if position else "", str(broken).rstrip(".")
        if failures >= self.attempts:
            raise LoadError(
                f"{name}: gave up{where} after {failures} attempts: {why}. Is the site up? Run it again later.",
                retryable=True,
            ) from broken
        delay = max(self.delay(failures), min(broken.wait, 300.0))
        log.warning("%s: %s%s; attempt %d in %.1f s", name, why, where, failures + 1, delay)
        time.sleep(delay)


class Broken(Exception):
    """An attempt that failed in a way that may succeed later. wait: seconds that the server asked for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait

    @classmethod
    def by_status(cls, status: int, reason: str, retry_after: str | None) -> "Broken":
        return cls(f"HTTP {status} {reason}", float(retry_after) if retry_after and retry_after.isdigit() else 0.0)
