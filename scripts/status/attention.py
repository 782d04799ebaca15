"""What wants a person's attention: rules over the picture, each a sentence that says what to do."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from prefect.client.schemas.objects import FlowRun, StateType

from scripts.prefect_command import prefect
from scripts.status.containers import Container
from scripts.status.read import Deployed, Picture, Pool

MESSAGE = 300  # characters of a failed run's message
MOMENT = timedelta(minutes=1)  # within which the worker brings runs and containers to agree


def attention(picture: Picture, late_after: timedelta) -> list[str]:
    """A line for each thing that is wrong; none when all is well. late_after: how long a run may wait or be stopped."""
    first = list(of_services(picture))
    if not picture.deployments:
        return [*first, "nothing is deployed yet: make deploy"]
    lines = [*first, *of_containers(picture)]
    lines += [line for pool in picture.pools for line in of_pool(pool, picture)]
    return lines + [line for one in picture.deployments for line in of_deployment(one, picture, late_after)]


def of_services(picture: Picture) -> Iterator[str]:
    """Services of our own stack that do not do their work."""
    for one in picture.engine.services if picture.engine else ():
        if one.status == "paused":
            yield f"service {one.name} is paused: docker unpause {one.container[:12]}"
        elif one.wrong:
            yield f"service {one.name} is {one.wrong}: docker logs {one.container[:12]}; make up starts it again"


def of_containers(picture: Picture) -> Iterator[str]:
    """Runs and containers that have lost each other; the worker brings them together within a minute."""
    if picture.engine is None:
        return
    ended = {str(run.id): run for run in picture.others}
    for one in picture.deployments:
        for run in one.open if picture.on_docker(one) else ():
            found = picture.engine.containers.get(str(run.id))
            assert run.state is not None  # a run always has one
            lasted = picture.now - run.state.timestamp
            if run.state_type in (StateType.RUNNING, StateType.CANCELLING) and lasted > MOMENT and not alive(found):
                what = f"its container {found.id} {described(found, picture)}" if found else "no container"
                yield f"{one.path}: {run.name} {run.state.name}, but {what}: see the worker's log; {cancel(run)}"
    known = {str(run.id) for one in picture.deployments for run in one.open}
    for id, found in picture.engine.containers.items():
        if id in known or picture.now - found.since < MOMENT:
            continue
        of = ended.get(id)
        if of is None:
            yield f"container {found.id} ({described(found, picture)}) has no run: docker rm --force {found.id}"
        elif of.state and of.state.is_final() and picture.now - of.state.timestamp > MOMENT:
            ended_as = f"{of.name}, {of.state.name} for {span(picture.now - of.state.timestamp)}"
            what = f"container {found.id} ({described(found, picture)})"
            yield f"{what} outlives its run ({ended_as}): see the worker's log"


def alive(found: Container | None) -> bool:
    """Whether a run may go on in it."""
    return found is not None and found.status in ("running", "created", "restarting")


def described(found: Container, picture: Picture) -> str:
    """`running 3 min`, `exited 137 2 min ago`."""
    span_of = span(picture.now - found.since)
    return f"exited {found.code} {span_of} ago" if found.status == "exited" else f"{found.status} {span_of}"


def cancel(run: FlowRun) -> str:
    """How to stop it."""
    return prefect("flow-run", "cancel", run.id)


def of_pool(pool: Pool, picture: Picture) -> Iterator[str]:
    """Pauses, and a pool with work and no worker."""
    name = pool.about.name
    mine = [one for one in picture.deployments if one.about.work_pool_name == name]
    if mine and pool.about.is_paused:
        yield f"pool {name} is paused: {prefect('work-pool', 'resume', name)}"
    for queue in pool.queues:
        if queue.is_paused and any(one.about.work_queue_name == queue.name for one in mine):
            resume = prefect("work-queue", "resume", queue.name, "-p", name)
            yield f"queue {queue.name} of pool {name} is paused: {resume}"
    scheduled, waiting = sum(one.scheduled for one in mine), sum(len(one.open) for one in mine)
    if pool.needs_worker and not pool.online and (scheduled or waiting):
        seen = pool.workers[0].last_heartbeat_time if pool.workers else None
        ago = f"the last one was seen {span(picture.now - seen)} ago" if seen else "there never was one"
        work = " and ".join(
            [
                *([counted(scheduled, "schedule")] if scheduled else []),
                *([counted(waiting, "open run")] if waiting else []),
            ]
        )
        yield f"pool {name} has no worker online ({ago}), but {work}: make worker POOL={name}"


def of_deployment(one: Deployed, picture: Picture, late_after: timedelta) -> Iterator[str]:
    """How its last run ended, and its runs that wait, run or stop for too long."""
    pool = next((pool for pool in picture.pools if pool.about.name == one.about.work_pool_name), None)
    if pool is None:
        yield f"{one.path} has no work pool, so nothing runs it: make deploy"
    if one.last and one.last.state and (one.last.state.is_failed() or one.last.state.is_crashed()):
        yield f"{one.path}: {one.last.name} {one.last.state.name}: {first_line(one.last.state.message)}"
    late = [run for run in one.open if run.state_type == StateType.SCHEDULED and overdue(run, picture) > late_after]
    if late:
        behind = next((f", behind {run.name}" for run in one.open if run.state_type == StateType.RUNNING), "")
        yield f"{one.path}: {counted(len(late), 'run')} late, the first for {span(overdue(late[0], picture))}{behind}"
    for run in one.open:
        assert run.state is not None  # a run always has one
        lasted, name = picture.now - run.state.timestamp, run.state.name
        if run.state_type in (StateType.PENDING, StateType.CANCELLING) and lasted > late_after:
            yield f"{one.path}: {run.name} {name} for {span(lasted)}: see the worker's log; {cancel(run)}"
        limit = time_limit(one, pool)
        if run.state_type == StateType.RUNNING and limit and lasted > limit + late_after:
            yield f"{one.path}: {run.name} {name} for {span(lasted)}, longer than its container may: {cancel(run)}"


def time_limit(one: Deployed, pool: Pool | None) -> timedelta | None:
    """How long the deployment's container can live; None where nothing limits it."""
    template = pool.about.base_job_template if pool else {}
    default = template.get("variables", {}).get("properties", {}).get("timeout", {}).get("default")
    seconds = one.about.job_variables.get("timeout") or default
    return timedelta(seconds=seconds) if isinstance(seconds, int | float) else None


def overdue(run: FlowRun, picture: Picture) -> timedelta:
    """How long ago it should have begun."""
    should = run.next_scheduled_start_time or run.expected_start_time
    return picture.now - should if should else timedelta(0)


def first_line(message: str | None) -> str:
    """A message in one line."""
    text = " ".join((message or "without a message").split())
    return text if len(text) <= MESSAGE else f"{text[:MESSAGE]} …"


def counted(number: int, thing: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def span(time: Any) -> str:
    """A time span in its largest unit: `12 s`, `3 min`, `2 h`, `5 d`."""
    seconds = max(0, int(time.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size or (unit == "min" and seconds >= size):
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
