"""What a load says of itself: one line in the log, one row of a table."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol


class Job(Protocol):
    """One thing to load. title: what it is called in logs; target: the table or object that it goes into."""

    @property
    def title(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def slice(self) -> str: ...


@dataclass(frozen=True)
class Report:
    """One load. file: what was loaded; target: the table or object; seconds: from the lock to the last row;
    bytes: as they came over the network; unit: what is counted.
    """

    file: str
    target: str
    slice: str
    status: Literal["loaded", "unchanged", "failed"]
    rows_read: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    rows_loaded: int = 0
    bytes: int = 0
    seconds: float = 0.0
    error: str = ""
    unit: str = "rows"

    @property
    def rows_per_second(self) -> float:
        return self.rows_loaded / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        if self.status == "failed":
            return f"{self.file}: FAILED. {self.error}"
        if self.status == "unchanged":
            return f"{self.file}: unchanged since it was loaded into {self.target}; nothing to do."
        dropped = f", {self.dropped_text()} dropped" if self.dropped else ""
        return (
            f"{self.file}: {self.rows_read:,} {self.unit} read{dropped}, {self.rows_loaded:,} loaded into {self.target}"
            f" in {self.seconds:.1f} s ({self.rows_per_second:,.0f} {self.unit}/s)"
        )

    def dropped_text(self) -> str:
        return ", ".join(f"{count:,} ({reason})" for reason, count in self.dropped.items())

    def row(self) -> dict[str, str]:
        """The report as a person reads it, by column title."""
        loaded = self.status == "loaded"
        return {
            "file": self.file,
            "into": self.target,
            "status": self.status,
            f"{self.unit} read": f"{self.rows_read:,}" if loaded else "",
            f"{self.unit} dropped": (self.dropped_text() or "0") if loaded else "",
            f"{self.unit} loaded": f"{self.rows_loaded:,}" if loaded else "",
            "seconds": f"{self.seconds:.1f}" if loaded else "",
            f"{self.unit}/s": f"{self.rows_per_second:,.0f}" if loaded else "",
            **({"error": self.error} if self.error else {}),
        }


def unchanged(job: Job) -> Report:
    """The target holds it already."""
    return Report(job.title, job.target, job.slice, "unchanged")


def failed(job: Job, error: str) -> Report:
    """It was not loaded. error: why, and what to do."""
    return Report(job.title, job.target, job.slice, "failed", error=error)


def loaded(
    job: Job,
    started: float,
    read: int,
    loaded: int,
    dropped: Mapping[str, int] | None = None,
    bytes: int = 0,
    unit: str = "rows",
) -> Report:
    """It is in the target now. started: by time.monotonic; read, loaded, dropped: of the unit."""
    seconds = time.monotonic() - started
    return Report(
        job.title, job.target, job.slice, "loaded", read, dict(dropped or {}), loaded, bytes, seconds, unit=unit
    )


def summary(reports: Sequence[Report]) -> str:
    """One sentence on what was done."""
    statuses = Counter(report.status for report in reports)
    counts = ", ".join(f"{count} {status}" for status, count in statuses.items())
    amounts: Counter[str] = Counter()
    for report in reports:
        amounts[report.unit] += report.rows_loaded
    return f"{counts}: {', '.join(f'{amount:,} {unit}' for unit, amount in amounts.items())}"


def failures(reports: Sequence[Report]) -> str:
    """One sentence on what failed, empty when nothing did."""
    failed = [report for report in reports if report.status == "failed"]
    if not failed:
        return ""
    reasons = " ".join(f"{report.file}: {report.error}" for report in failed)
    return f"{len(failed)} of {len(reports)} failed. {reasons}"
