"""Break the running stack again and again while every sink is loaded, and count what that did.

Needs `make up SOURCE=demo`. Each round starts a run for every sink, breaks something at moments of chance, waits until
all runs have ended, starts again what did not complete, and counts the rows of every sink. Exit code 0: no row is lost
or doubled, every run has ended, nothing is left.
"""

import argparse
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import uuid4

from longshore.sinks.bigquery.staging import SILENCE
from scripts.chaos.faults import FAULTS, Stack
from scripts.chaos.loads import APPENDS, LOADS, Load, need_demo, staging_tables
from scripts.chaos.prefect import FINAL, Prefect
from scripts.docker import need_engine
from scripts.settings import UserError, settings

ENDED_WITHIN = 900  # seconds, for the runs of a round
AGAIN = 3  # how often a load that did not complete is started again, once the faults are over
COLUMNS = ("completed", "restarted", "failed", "again", "lost", "doubled", "stuck")
BAD = ("lost", "doubled", "stuck")
LEFT_WITHIN = 180  # seconds, for the worker to tidy up behind the last round
State = dict[str, Any]


@dataclass
class Tally:
    """How often each fault came, what became of the runs of its rounds, and of all runs, each counted once."""

    times: Counter[str] = field(default_factory=Counter)
    by_fault: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    total: Counter[str] = field(default_factory=Counter)

    def add(self, faults: list[str], seen: Counter[str]) -> None:
        """What came of a round."""
        self.times.update(faults)
        self.total.update(seen)
        for fault in set(faults):
            self.by_fault[fault].update(seen)

    def table(self) -> str:
        """As Markdown."""
        lines = [["fault", "times", *COLUMNS], ["---", *["--:"] * (len(COLUMNS) + 1)]]
        rows = [(name, self.times[name], self.by_fault[name]) for name in FAULTS if self.times[name]]
        for name, times, seen in [*rows, ("**all**", self.times.total(), self.total)]:
            lines.append([name, str(times), *(str(seen[column]) for column in COLUMNS)])
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def run_round(
    stack: Stack, api: Prefect, faults: list[str], expected: dict[str, int]
) -> tuple[list[str], Counter[str]]:
    """Faults while all loads run: those that came before the runs had ended, and what became of runs and rows."""
    seen: Counter[str] = Counter()
    started = {api.start(one.deployment, one.parameters, str(uuid4())): one for one in LOADS}
    came: list[str] = []
    for fault in faults:
        stack.soon(2, 14)  # from the containers' start to the last commit
        if came and not still_on(api.states(list(started))):
            break
        FAULTS[fault](stack)
        came.append(fault)
    for run, state in wait(api, list(started)).items():
        load = started[run]
        word = outcome(state, api.history(run))
        seen[word] += 1
        if word in ("failed", "stuck"):
            why = str(state["message"]).split("\n")[0]
            print(f"  {load.deployment}: {state['name']}: {why} (run {run})", flush=True)
        for _ in range(AGAIN):
            if state["type"] == "COMPLETED":
                break
            seen["again"] += 1
            new = api.start(load.deployment, load.parameters, str(uuid4()))
            state = wait(api, [new])[new]
            seen["stuck"] += state["type"] not in FINAL
        seen.update(check(stack, load, expected))
    return came, seen


def outcome(state: State, history: list[str]) -> str:
    """A run's column of the table."""
    if state["type"] == "COMPLETED":
        return "restarted" if "Restarted" in history else "completed"
    return "failed" if state["type"] in FINAL else "stuck"


def still_on(states: dict[str, State]) -> bool:
    """Whether a run has not ended."""
    return any(state["type"] not in FINAL for state in states.values())


def wait(api: Prefect, runs: list[str]) -> dict[str, State]:
    """Each run's last state; after ENDED_WITHIN seconds that may be one that is not final."""
    deadline = time.monotonic() + ENDED_WITHIN
    while still_on(states := api.states(runs)) and time.monotonic() < deadline:
        time.sleep(1)
    return states


def check(stack: Stack, load: Load, expected: dict[str, int]) -> Counter[str]:
    """Rows of a sink that are lost or doubled, by its ledger and by what was there before the first fault."""
    rows, different = load.count(stack.env)
    if load is not APPENDS:
        different = min(different, expected.setdefault(load.deployment, rows))
    return Counter({"doubled": max(rows - different, 0), "lost": max(different - rows, 0)})


def left(stack: Stack, api: Prefect, since: str) -> dict[str, int]:
    """What should be gone, once the worker has had the time to tidy up, and the next load to drop what is left."""

    def found() -> dict[str, int]:
        return {
            "runs not ended": api.unfinished("flow_runs", since),
            "tasks not ended": api.unfinished("task_runs", since),
            "containers of jobs": len(stack.jobs()),
            "staging tables": staging_tables(stack.env),
        }

    deadline = time.monotonic() + LEFT_WITHIN
    while any(found().values()) and time.monotonic() < deadline:
        time.sleep(5)
    if staging_tables(stack.env):
        print(f"waiting for {SILENCE}, after which a load takes a staging table for a dead run's", flush=True)
        time.sleep(SILENCE.total_seconds())
        for load in (LOADS[2], APPENDS):
            wait(api, [api.start(load.deployment, load.parameters, str(uuid4()))])
    return found()


def deal(stack: Stack, kinds: list[str]) -> Iterator[str]:
    """Faults without end, in an order of chance in which each comes about as often."""
    while True:
        yield from stack.chance.sample(kinds, len(kinds))


def chaos(rounds: int, faults: int, seed: int, only: str) -> int:
    """Break, count, and print; the exit code."""
    env = settings()
    need_engine()
    need_demo(env)
    api = Prefect(env["PREFECT_API_URL"], env["PREFECT_API_KEY"])
    stack = Stack(env, random.Random(seed))
    since = datetime.now(UTC).isoformat()
    expected: dict[str, int] = {}
    tally = Tally()
    watched = pause(api)
    try:
        for load in LOADS:
            run = api.start(load.deployment, load.parameters, str(uuid4()))
            if (ended := wait(api, [run])[run])["type"] != "COMPLETED":
                raise UserError(f"{load.deployment} is {ended['name']} before any fault: see its run in Prefect")
            check(stack, load, expected)
        said = ", ".join(f"{name} {rows:,}" for name, rows in expected.items())
        print(f"before the first fault: {said} rows (seed {seed})", flush=True)
        dealt = deal(stack, [name for name in FAULTS if only in name])
        try:
            for number in range(rounds):
                began = time.monotonic()
                came, seen = run_round(stack, api, list(islice(dealt, faults)), expected)
                tally.add(came, seen)
                said = ", ".join(f"{count} {what}" for what, count in seen.items() if count)
                print(
                    f"{number + 1} of {rounds}: {'; '.join(came)}: {said} ({time.monotonic() - began:.0f} s)",
                    flush=True,
                )
        except KeyboardInterrupt:
            print("stopped: what came until now", flush=True)
        remains = left(stack, api, since)
    finally:
        if watched:
            api.ask(f"deployments/{watched}/resume_deployment", {})
    print(f"\n{tally.table()}\n\nleft: {', '.join(f'{count} {what}' for what, count in remains.items())}")
    return 1 if any(tally.total[name] for name in BAD) or any(remains.values()) else 0


def pause(api: Prefect) -> str:
    """Stop the looks at the buses every 30 s: chaos has its own, whose ends it waits for. The deployment, if it ran."""
    found = api.ask(f"deployments/name/{APPENDS.deployment}")
    if found["paused"]:
        return ""
    api.ask(f"deployments/{found['id']}/pause_deployment", {})
    return str(found["id"])


def main() -> None:
    """Parse the command line; break things."""
    parser = argparse.ArgumentParser(prog="python -m scripts.chaos", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=len(FAULTS), help="how often all sinks are loaded (%(default)s)")
    parser.add_argument("--faults", type=int, default=1, help="faults a round, while its runs are on (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of what is left to chance (%(default)s)")
    parser.add_argument("--only", default="", metavar="WORDS", help="faults whose name has these words")
    args = parser.parse_args()
    if not [name for name in FAULTS if args.only in name]:
        sys.exit(f"no fault is called {args.only!r}; there are: {', '.join(FAULTS)}")
    try:
        sys.exit(chaos(args.rounds, args.faults, args.seed, args.only))
    except UserError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
