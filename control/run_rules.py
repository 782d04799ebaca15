"""What a run's token may ask of Prefect's API: what its engine and our flows do, on its own run and below it.

A run's *tree* is the run, its subflows and the runs that it started by deployment, with the tasks of each.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from control.tokens import Claims

GRACE = timedelta(seconds=30)  # for the last lines of the log
RUN_KEYS = frozenset({"name", "parameters", "context", "tags", "state", "parent_task_run_id", "idempotency_key"})
SUBFLOW_KEYS = RUN_KEYS | {"flow_id", "flow_version", "empirical_policy"}
START_KEYS = RUN_KEYS | {"enforce_parameter_schema", "empirical_policy"}
# Not job_variables, by which the worker makes the container, nor infrastructure_pid, which it stops when asked to.
CHANGE_KEYS = frozenset({"name", "flow_version", "parameters", "tags", "empirical_policy"})


class Run(Protocol):
    """A flow run."""

    @property
    def state(self) -> str: ...
    @property
    def since(self) -> datetime: ...
    @property
    def deployment(self) -> str: ...
    @property
    def is_final(self) -> bool: ...


class Facts(Protocol):
    """What the rules must know of the runs there are."""

    async def run(self, run: UUID) -> Run | None: ...
    async def deployment(self, deployment: UUID) -> str: ...
    async def has_run(self, root: str, run: UUID) -> bool: ...
    async def has_task(self, root: str, task: UUID) -> bool: ...


@dataclass(frozen=True)
class Ask:
    """A request of a run. named: the parts of its path; body: as JSON has it."""

    claims: Claims
    named: dict[str, str]
    body: Any
    facts: Facts

    async def in_tree(self, run: Any) -> bool:
        found = as_id(run)
        return found is not None and await self.facts.has_run(self.claims.run, found)

    async def task_in_tree(self, task: Any) -> bool:
        found = as_id(task)
        return found is not None and await self.facts.has_task(self.claims.run, found)


Rule = Callable[[Ask], Awaitable[str]]  # why not, or an empty text
FOREIGN = "that run is neither the token's nor one that it started."


async def anything(ask: Ask) -> str:
    return ""


async def run_below(ask: Ask) -> str:
    return "" if await ask.in_tree(ask.named["id"]) else FOREIGN


async def task_below(ask: Ask) -> str:
    return "" if await ask.task_in_tree(ask.named["id"]) else FOREIGN


async def change_run(ask: Ask) -> str:
    return surplus(ask.body, CHANGE_KEYS) or await run_below(ask)


async def set_run(ask: Ask) -> str:
    """Its own runs'; and runs of its deployment that were due meanwhile are skipped: longshore/flows/overlap.py."""
    if await ask.in_tree(ask.named["id"]):
        return ""
    run = as_id(ask.named["id"])
    found = await ask.facts.run(run) if run else None
    mine = found is not None and ask.claims.deployment and found.deployment == ask.claims.deployment
    skipped = part(ask.body, "state", "type") == "CANCELLED"
    return "" if found and mine and found.state == "SCHEDULED" and skipped else FOREIGN


async def new_task(ask: Ask) -> str:
    return "" if await ask.in_tree(part(ask.body, "flow_run_id")) else FOREIGN


async def new_subflow(ask: Ask) -> str:
    return surplus(ask.body, SUBFLOW_KEYS) or await started_by_us(ask)


async def start(ask: Ask) -> str:
    """A run of a deployment, as that is: never with another image, command, variable or queue."""
    return surplus(ask.body, START_KEYS) or await may_start(ask) or await started_by_us(ask)


async def started_by_us(ask: Ask) -> str:
    """Below the run, so that it may read and cancel it; and not one of another, found by the key of that."""
    key = part(ask.body, "idempotency_key")
    if key is not None and not str(key).startswith(ask.claims.run):
        return f"the idempotency_key of a run that it starts begins with its own id, {ask.claims.run}."
    below = await ask.task_in_tree(part(ask.body, "parent_task_run_id"))
    return "" if below else "it starts runs as its subflows alone, with the parent_task_run_id of one of its tasks."


async def may_start(ask: Ask) -> str:
    deployment = as_id(ask.named["id"])
    name = await ask.facts.deployment(deployment) if deployment else ""
    return "" if name and name in ask.claims.starts else not_started(name or ask.named["id"])


async def may_start_name(ask: Ask) -> str:
    name = f"{ask.named['flow']}/{ask.named['name']}"
    return "" if name in ask.claims.starts else not_started(name)


async def read_deployment(ask: Ask) -> str:
    return "" if ask.named["id"] == ask.claims.deployment else await may_start(ask)


async def read_block(ask: Ask) -> str:
    block = f"{ask.named['slug']}/{ask.named['name']}"
    if block in ask.claims.blocks:
        return ""
    return f"the run's deployment does not name the block {block}: `blocks` in its jobs/*/deployment.py does."


async def logs(ask: Ask) -> str:
    lines = ask.body if isinstance(ask.body, list) else [None]
    return await all_below(ask, {(part(line, "flow_run_id"), part(line, "task_run_id")) for line in lines})


async def artifact(ask: Ask) -> str:
    return await all_below(ask, {(part(ask.body, "flow_run_id"), part(ask.body, "task_run_id"))})


async def all_below(ask: Ask, about: Iterable[tuple[Any, Any]]) -> str:
    """Whether each pair of flow run and task run, of which one may be None, is of the tree."""
    for run, task in about:
        if (run is None and task is None) or (run is not None and not await ask.in_tree(run)):
            return FOREIGN
        if task is not None and not await ask.task_in_tree(task):
            return FOREIGN
    return ""


async def list_runs(ask: Ask) -> str:
    """Runs of its own deployment, or runs of its tree by their ids."""
    own = ids(ask.body, "deployments")
    if own and own == [ask.claims.deployment]:
        return ""
    return await list_tree(ask)


async def list_tree(ask: Ask) -> str:
    named = ids(ask.body, "flow_runs")
    below = [await ask.in_tree(run) for run in named]
    return "" if below and all(below) else "it lists only what it narrows down to its own deployment or runs, by id."


def ids(body: Any, kind: str) -> list[Any]:
    """The ids that a filter narrows a kind of thing down to."""
    wanted = part(body, kind)
    alone = part(wanted, "operator") in (None, "and_")
    found = part(wanted, "id", "any_")
    return found if alone and isinstance(found, list) else []


UUID_PATTERN = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
RULES: tuple[tuple[str, str, Rule], ...] = (
    ("GET", "/csrf-token", anything),  # Prefect's client asks once; the answer is that there are none
    ("GET", "/flow_runs/{id}", run_below),
    ("PATCH", "/flow_runs/{id}", change_run),
    ("POST", "/flow_runs/{id}/set_state", set_run),
    ("POST", "/flow_runs/", new_subflow),
    ("POST", "/flow_runs/filter", list_runs),
    ("GET", "/task_runs/{id}", task_below),
    ("PATCH", "/task_runs/{id}", task_below),  # a name
    ("POST", "/task_runs/{id}/set_state", task_below),
    ("POST", "/task_runs/", new_task),
    ("POST", "/task_runs/filter", list_tree),
    ("GET", "/flows/{id}", anything),  # a name
    ("POST", "/flows/", anything),  # finds a flow by its name, or makes it
    ("GET", "/deployments/{id}", read_deployment),
    ("GET", "/deployments/name/{flow}/{name}", may_start_name),
    ("POST", "/deployments/{id}/create_flow_run", start),
    ("GET", "/block_types/slug/{slug}/block_documents/name/{name}", read_block),
    ("POST", "/logs/", logs),
    ("POST", "/artifacts/", artifact),
)


def pattern(path: str) -> re.Pattern[str]:
    """A path of the table as an expression: {id} is an id, {any other} one part of the path."""
    shapes = {"id": UUID_PATTERN}
    return re.compile(
        "/api" + re.sub(r"\{(\w+)\}", lambda name: f"(?P<{name[1]}>{shapes.get(name[1], '[^/]+')})", path)
    )


TABLE = [(method, pattern(path), rule) for method, path, rule in RULES]


@dataclass(frozen=True)
class RunRules:
    """What the guard asks."""

    facts: Facts

    async def __call__(self, claims: Claims, method: str, path: str, body: Any) -> str:
        """Why a run may not ask this; empty where it may."""
        if ended := await why_ended(claims, self.facts, datetime.now(UTC)):
            return ended
        for verb, shape, rule in TABLE:
            if verb == method and (found := shape.fullmatch(path)):
                why = await rule(Ask(claims, found.groupdict(), body, self.facts))
                return why and f"not with a run's token: {why}"
        return "not with a run's token: jobs need it for nothing."


async def why_ended(claims: Claims, facts: Facts, now: datetime) -> str:
    """Why the token is worth nothing any more; empty while it is."""
    if now.timestamp() > claims.expires:
        return "the run's token has expired."
    run = as_id(claims.run)
    found = await facts.run(run) if run else None
    if found is None:
        return "the run of this token is not there."
    if found.is_final and now - found.since > GRACE:
        return "the run of this token has ended."
    return ""


def surplus(body: Any, keys: frozenset[str]) -> str:
    """Which keys of a body are not among those; what is set to nothing is not there."""
    if not isinstance(body, dict):
        return "the body is no object."
    more = sorted(key for key, value in body.items() if key not in keys and value not in (None, {}, []))
    return f"it may not set {', '.join(more)}." if more else ""


def part(body: Any, *path: str) -> Any:
    """What lies in a body at a path; None where nothing does."""
    for key in path:
        body = body.get(key) if isinstance(body, dict) else None
    return body


def as_id(text: Any) -> UUID | None:
    try:
        return UUID(text)
    except (ValueError, TypeError, AttributeError):
        return None


def not_started(name: str) -> str:
    return (
        f"the run's deployment does not name {name} among those that it starts: `starts` in its jobs/*/deployment.py."
    )
