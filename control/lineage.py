"""Which runs belong to which, as Prefect's own database knows it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from prefect.server.database.dependencies import provide_database_interface
from prefect.server.schemas.states import TERMINAL_STATES

MOST_FACTS = 10_000
DEEPEST = 20  # flows in flows


@dataclass(frozen=True)
class Run:
    """A flow run. since: when it came into its state; deployment: empty where there is none."""

    state: str
    since: datetime
    deployment: str

    @property
    def is_final(self) -> bool:
        return self.state in {state.value for state in TERMINAL_STATES}


@dataclass
class Lineage:
    """Looks things up. That a run belongs to another never changes, so it is asked once."""

    known: set[tuple[str, UUID]] = field(default_factory=set)

    async def run(self, run: UUID) -> Run | None:
        runs = provide_database_interface().FlowRun
        row = await _row(sa.select(runs.state_type, runs.state_timestamp, runs.deployment_id).where(runs.id == run))
        return Run(str(row[0].value), row[1], str(row[2] or "")) if row and row[0] else None

    async def deployment(self, deployment: UUID) -> str:
        """A deployment's FLOW/NAME; empty where there is none."""
        db = provide_database_interface()
        named = sa.select(db.Flow.name, db.Deployment.name).join(db.Flow, db.Flow.id == db.Deployment.flow_id)
        row = await _row(named.where(db.Deployment.id == deployment))
        return f"{row[0]}/{row[1]}" if row else ""

    async def has_run(self, root: str, run: UUID) -> bool:
        """Whether a flow run is the root, or was started by a task of it or of one of its subflows."""
        passed: list[UUID] = []
        above: UUID | None = run
        while above and str(above) != root and (root, above) not in self.known:
            passed.append(above)
            above = await _parent(above) if len(passed) < DEEPEST else None
        if above:
            self._keep(root, passed)
        return above is not None

    async def has_task(self, root: str, task: UUID) -> bool:
        """Whether a task run is one of the root's, or of its subflows'."""
        if (root, task) in self.known:
            return True
        tasks = provide_database_interface().TaskRun
        row = await _row(sa.select(tasks.flow_run_id).where(tasks.id == task))
        found = bool(row and row[0]) and await self.has_run(root, row[0])
        if found:
            self._keep(root, [task])
        return found

    def _keep(self, root: str, ids: list[UUID]) -> None:
        if len(self.known) > MOST_FACTS:
            self.known.clear()
        self.known.update((root, one) for one in ids)


async def _parent(run: UUID) -> UUID | None:
    """The flow run of the task that started a flow run."""
    db = provide_database_interface()
    joined = sa.select(db.TaskRun.flow_run_id).join(db.FlowRun, db.FlowRun.parent_task_run_id == db.TaskRun.id)
    row = await _row(joined.where(db.FlowRun.id == run))
    return row[0] if row else None


async def _row(query: Any) -> Any:
    async with provide_database_interface().session_context() as session:
        return (await session.execute(query)).first()
