"""What our workers have in common: they look after runs that nobody watches, show that they live, and stop when asked.

A mixin for Prefect's workers, before the worker's class. Seconds that can be set, mainly for tests:
WORKER_GRACE_SECONDS, WORKER_START_SECONDS, WORKER_WATCHER_SECONDS, WORKER_PULL_SECONDS (see Deadlines),
WORKER_STOP_SECONDS (to stop in), WORKER_HUNG_SECONDS. How often it looks is PREFECT_WORKER_HEARTBEAT_SECONDS.
"""

import asyncio
import faulthandler
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.client.schemas.objects import FlowRun

from workpools import alive, ending, run_states
from workpools.reconcile import ALWAYS, Action, Cancel, Crash, Deadlines, Job, Remove, Run, View, decide

Base: Any = object  # a subclass of BaseWorker would be registered as a type of worker
SILENT = timedelta(seconds=40)  # between two answers of the server: longer, and it has been away


def seconds(name: str, default: int) -> int:
    """A setting of this worker."""
    return int(os.environ.get(f"WORKER_{name}_SECONDS") or default)


def deadlines(usual: Deadlines) -> Deadlines:
    """How long to wait for what, under this environment."""
    return Deadlines(
        grace=seconds("GRACE", usual.grace),
        start=seconds("START", usual.start),
        watcher=seconds("WATCHER", usual.watcher),
        pull=seconds("PULL", usual.pull),
    )


class Careful(Base):  # type: ignore[misc]
    """A worker that reconciles. Subclasses say where jobs are: `find_jobs`, `last_lines`, `remove_job`, `place`."""

    what = "container"
    usual = Deadlines()
    owns_process = False  # set by main(): then this process ends with the worker

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watched: set[str] = set()
        self._unseen: set[str] = set()  # watched runs without a running job, at the last look
        self._answered = self._steady = ALWAYS
        self._ends: dict[str, tuple[str, bool]] = {}  # how a watched run's job ended; whether to start the run again

    # To be said by each kind of worker.

    def place(self) -> str:
        """The engine or machine that this worker's jobs run on."""
        raise NotImplementedError

    def place_of(self, pid: str) -> str | None:
        """The same of a run, by its infrastructure_pid; None when it does not say."""
        raise NotImplementedError

    async def find_jobs(self, runs: Sequence[FlowRun]) -> list[Job]:
        """Every job of ours at this place; at least those of these runs, which are on."""
        raise NotImplementedError

    async def last_lines(self, job: str) -> str:
        """What the job wrote last."""
        return ""

    async def remove_job(self, job: str) -> None:
        """Stop it if it runs, and remove it; nothing if it is gone."""

    def end_jobs(self, by: float) -> None:
        """The worker stops: end what can't go on without it. In a thread; by: time.monotonic()."""

    # Prefect's hooks.

    async def setup(self) -> None:
        await super().setup()
        if self.owns_process:
            alive.touch()
            ending.on_stop(self._stop)
            ending.watch_loop(seconds("HUNG", 120), asyncio.get_running_loop())

    async def get_and_submit_flow_runs(self) -> Any:
        found = await super().get_and_submit_flow_runs()
        self._note_answer()
        return found

    async def sync_with_backend(self) -> None:
        await super().sync_with_backend()
        self._note_answer()
        try:
            await self.reconcile()
        except Exception as error:
            self._logger.warning("Runs and jobs could not be compared, next time again: %s", _line(error))

    async def _submit_run_and_capture_errors(self, flow_run: FlowRun, task_status: Any = None) -> Any:
        self._watched.add(str(flow_run.id))
        try:
            return await super()._submit_run_and_capture_errors(flow_run, task_status=task_status)
        finally:
            self._watched.discard(str(flow_run.id))
            self._ends.pop(str(flow_run.id), None)

    async def _propose_crashed_state(self, flow_run: FlowRun, message: str) -> None:
        """The worker itself saw the job end, or could not start it."""
        reason, restart = self._ends.pop(str(flow_run.id), (message, True))
        try:
            await self.crash_run(flow_run, reason, restart)
        except Exception as error:
            self._logger.warning(
                "Run %s could not be reported as crashed, next time again: %s", flow_run.id, _line(error)
            )

    # What we add.

    async def crash_run(self, flow_run: FlowRun, reason: str, restart: bool = False) -> None:
        """Report a run as Crashed, or start it again if it may be; nothing if it has ended."""
        state = await run_states.crash(self._client, flow_run.id, reason, restart)
        if state:
            self.get_flow_run_logger(flow_run).error("%s: %s", state.name, state.message)

    async def reconcile(self) -> None:
        """Compare the runs with the jobs, and put right what does not fit."""
        client, pool = self._client, self._work_pool_name
        on = await run_states.read_on(client, pool)
        jobs = await self.find_jobs(on)
        found = {str(run.id): run for run in on}
        named = await run_states.read_runs(client, {job.run for job in jobs} - found.keys())
        found |= {str(run.id): run for run in named if run.work_pool_name == pool}
        elsewhere = {str(run.id) for run in named if run.work_pool_name != pool}
        jobs = [job for job in jobs if job.run not in elsewhere]
        view = View(
            now=datetime.now(UTC),
            place=self.place(),
            busy=self._busy(jobs),
            alone=not await run_states.others_online(client, pool, self.name),
            steady=self._steady,
            what=self.what,
            deadlines=deadlines(self.usual),
        )
        runs = [self._run(run) for run in found.values()]
        await self._do(decide(runs, jobs, view), found, {job.id: job.run for job in jobs})

    async def _do(self, actions: list[Action], found: dict[str, FlowRun], run_of: dict[str, str]) -> None:
        failed: set[str] = set()
        for action in actions:
            run = run_of[action.job] if isinstance(action, Remove) else action.run
            if run in failed:  # its job tells how it ended; keep it until the run's state does
                continue
            try:
                match action:
                    case Crash():
                        lines = await self.last_lines(action.job) if action.job else ""
                        reason = f"{action.reason} Its last lines:\n{lines}" if lines else action.reason
                        await self.crash_run(found[run], reason, action.restart)
                    case Cancel():
                        await run_states.cancel(self._client, found[run].id)
                    case Remove():
                        await self.remove_job(action.job)
                        self._logger.info("Removed the %s %.12s of run %s.", self.what, action.job, run)
            except Exception as error:
                failed.add(run)
                self._logger.warning("Run %s is not put right, next time again: %s", run, _line(error))

    def _run(self, run: FlowRun) -> Run:
        pid = run.infrastructure_pid
        since = run.state.timestamp if run.state else ALWAYS
        return Run(str(run.id), run_states.phase(run), since, self.place_of(pid) if pid else None)

    def _busy(self, jobs: Sequence[Job]) -> frozenset[str]:
        """Runs that this worker takes care of. Who has watched nothing for two looks in a row watches no more."""
        unseen = self._watched - {job.run for job in jobs if not job.ended}
        watched = self._watched - (unseen & self._unseen)
        self._unseen = unseen
        return frozenset(watched | {str(id) for id in self._submitting_flow_run_ids})

    def _note_answer(self) -> None:
        """The server has answered. A job may need a moment after it was away."""
        alive.touch()
        now = datetime.now(UTC)
        if now - self._answered > SILENT:
            self._steady = now
        self._answered = now

    def _stop(self) -> None:
        """Asked to stop: jobs go on where they can, runs that are being started still are, then the process ends."""
        by = time.monotonic() + seconds("STOP", 20)
        self.end_jobs(by - 5)
        # Prefect's own way out comes first; it would wait for every run that is watched.
        soon = time.monotonic() + 5
        while time.monotonic() < by and (self._submitting_flow_run_ids or time.monotonic() < soon):
            time.sleep(0.1)
        if self._submitting_flow_run_ids:
            print("The worker was asked to stop, and ends now. It stood here:", file=sys.stderr)
            faulthandler.dump_traceback(all_threads=True)
        ending.leave(0)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
