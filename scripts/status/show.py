"""The picture as tables: pools with their workers, deployments with their runs, open runs with their containers."""

from datetime import timedelta
from typing import Any

from prefect.client.schemas.objects import FlowRun, WorkerStatus
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from scripts.status.attention import described, span
from scripts.status.read import Deployed, Picture, Pool

FORGOTTEN = timedelta(days=1)  # a worker that has been away for longer is not shown
COLOURS = {
    "COMPLETED": "green",
    "FAILED": "red",
    "CRASHED": "red",
    "RUNNING": "cyan",
    "READY": "green",
    "ONLINE": "green",
}


def tables(picture: Picture) -> list[RenderableType]:
    """What the screen shows, from top to bottom."""
    pools = table("pool", "type", "status", "limit", "queues", "worker", "heartbeat")
    for pool in picture.pools:
        for row in pool_rows(pool, picture):
            pools.add_row(*row)
    zone = picture.now.tzname()
    deployments = table("deployment", "pool", "revision", "last run", "name", "ago", "took", f"next ({zone})")
    for one in picture.deployments:
        deployments.add_row(*deployment_row(one, picture))
    runs = table("open run", "name", "Prefect says", "since", "container", "the engine says")
    for one in picture.deployments:
        for run in one.open:
            if picture.on_docker(one):
                runs.add_row(*run_row(run, one, picture))
    shown: list[RenderableType] = [pools, Text(), deployments]
    return [*shown, Text(), runs] if runs.row_count else shown


def table(*names: str) -> Table:
    """A table with these columns. Names of runs and of workers give way where the screen is narrow."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for name in names:
        made.add_column(name, no_wrap=name not in ("name", "worker"), overflow="ellipsis")
    return made


def pool_rows(pool: Pool, picture: Picture) -> list[list[RenderableType]]:
    """A line for each worker; one with none where there is none."""
    about = pool.about
    status = "PAUSED" if about.is_paused else str(about.status.value if about.status else "-")
    paused = sum(queue.is_paused for queue in pool.queues)
    queues = f"{len(pool.queues)}{f', {paused} paused' if paused else ''}"
    front: list[RenderableType] = [
        about.name,
        about.type,
        coloured(status),
        str(about.concurrency_limit or "-"),
        queues,
    ]
    workers = [one for one in pool.workers if picture.now - one.last_heartbeat_time < FORGOTTEN]
    if not workers:
        return [[*front, "none" if pool.needs_worker else "needs none", ""]]
    return [
        [
            *(front if number == 0 else [""] * len(front)),
            Text.assemble(worker.name, " ", coloured(worker.status.value))
            if worker.status != WorkerStatus.ONLINE
            else worker.name,
            f"{span(picture.now - worker.last_heartbeat_time)} ago",
        ]
        for number, worker in enumerate(workers)
    ]


def deployment_row(one: Deployed, picture: Picture) -> list[RenderableType]:
    """Its line."""
    about = one.about
    image = str(about.job_variables.get("image", ""))
    front: list[RenderableType] = [
        one.path,
        about.work_pool_name or "-",
        about.version or image.rpartition(":")[2] or "-",
    ]
    return [*front, *last(one.last, picture), following(one, picture)]


def run_row(run: FlowRun, one: Deployed, picture: Picture) -> list[RenderableType]:
    """An open run's line: Prefect's state of it, and its container's."""
    assert run.state is not None  # a run always has one
    state = coloured(str(run.state.name), run.state.type.value)
    front: list[RenderableType] = [one.path, run.name, state, span(picture.now - run.state.timestamp)]
    if picture.engine is None:
        return [*front, "", "no engine here"]
    found = picture.engine.containers.get(str(run.id))
    if found is None:
        return [*front, "none", ""]
    return [*front, found.id, described(found, picture)]


def last(run: FlowRun | None, picture: Picture) -> list[RenderableType]:
    """State, name, when it began and how long it took."""
    if run is None or run.state is None:
        return ["-", "", "", ""]
    began = run.start_time or run.expected_start_time
    took = span(run.total_run_time) if run.start_time and run.state.is_final() else ""
    if run.state.is_running() and run.start_time:
        took = f"{span(picture.now - run.start_time)} …"
    return [
        coloured(str(run.state.name), run.state.type.value),
        run.name,
        span(picture.now - began) if began else "",
        took,
    ]


def following(one: Deployed, picture: Picture) -> str:
    """When it runs next, in the local zone."""
    if one.next is None or one.next.next_scheduled_start_time is None:
        return "paused" if one.about.paused and one.about.schedules else "-"
    when: Any = one.next.next_scheduled_start_time.in_timezone(picture.now.timezone)
    return str(when.format("HH:mm" if when.date() == picture.now.date() else "MMM D HH:mm"))


def coloured(word: str, kind: str = "") -> Text:
    """A state in its colour."""
    return Text(word, style=COLOURS.get(kind or word, "yellow"))
