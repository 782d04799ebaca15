"""What a load says of itself: one line in the log, one row of a table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Report:
    """One load. file: what was loaded; target: the table or object; seconds: from the lock to the last row;
    bytes: as they came over the network.
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
            f"{self.file}: {self.rows_read:,} rows read{dropped}, {self.rows_loaded:,} loaded into {self.target}"
            f" in {self.seconds:.1f} s ({self.rows_per_second:,.0f} rows/s)"
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
            "rows read": f"{self.rows_read:,}" if loaded else "",
            "rows dropped": (self.dropped_text() or "0") if loaded else "",
            "rows loaded": f"{self.rows_loaded:,}" if loaded else "",
            "seconds": f"{self.seconds:.1f}" if loaded else "",
            "rows/s": f"{self.rows_per_second:,.0f}" if loaded else "",
            **({"error": self.error} if self.error else {}),
        }


def summary(reports: Sequence[Report]) -> str:
    """One sentence on what was done."""
    statuses = Counter(report.status for report in reports)
    counts = ", ".join(f"{count} {status}" for status, count in statuses.items())
    return f"{counts}: {sum(report.rows_loaded for report in reports):,} rows"


def failures(reports: Sequence[Report]) -> str:
    """One sentence on what failed, empty when nothing did."""
    failed = [report for report in reports if report.status == "failed"]
    if not failed:
        return ""
    reasons = " ".join(f"{report.file}: {report.error}" for report in failed)
    return f"{len(failed)} of {len(reports)} failed. {reasons}"
