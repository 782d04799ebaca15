"""One thing to do: a source becomes one slice of a sink, exactly once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from longshore.backoff import Backoff, Log
from longshore.report import Report
from longshore.rows.kept import NO_RULE, Rule
from longshore.sources.source import Source


class Sink(Protocol):
    """Where rows go: a table or an object."""

    @property
    def name(self) -> str:
        """What logs and reports call it."""

    def load(self, load: "Load", log: Log, backoff: Backoff) -> Report:
        """Have the source's rows as the slice, or do nothing where they are there already.

        On any error (LoadError, with file, row and column) nothing has changed.
        """


@dataclass(frozen=True)
class Load:
    """A source, a sink, and what the rows are called in its ledger. title: what logs call the source, by default its
    own. schema: the declared columns, None to infer them. force: load again even if nothing has changed.
    """

    source: Source
    sink: Sink
    slice: str
    title: str = ""
    schema: pa.Schema | None = None
    rule: Rule = NO_RULE
    force: bool = False
    flow_run: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or self.source.title)

    @property
    def target(self) -> str:
        return self.sink.name

    def run(self, log: Log, backoff: Backoff | None = None) -> Report:
        """Do it. Raises LoadError; then nothing has changed."""
        return self.sink.load(self, log, backoff or Backoff())

    def columns(self) -> Mapping[str, str] | str:
        """The declared columns, as ledgers note them."""
        return {field.name: str(field.type) for field in self.schema} if self.schema else "inferred"
