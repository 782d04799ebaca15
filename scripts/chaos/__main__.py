"""Break the running stack again and again while every sink is loaded, and count what that did.

Needs `make up SOURCE=demo`. Each round starts a run for every sink, breaks something at a moment of chance, waits until
all runs have ended, starts again what did not complete, and counts the rows of every sink. Exit code 0: no row is lost
or doubled, every run has ended, nothing is left.
"""

import argparse
import random
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from jobs.common.bigquery.staging import SILENCE
from scripts.chaos.faults import FAULTS, Stack
from scripts.chaos.loads import APPENDS, LOADS, Load, need_demo, staging_tables
from scripts.chaos.prefect import FINAL, Prefect
from scripts.docker import need_engine
from scripts.settings import UserError, settings

ENDED_WITHIN = 900  # seconds, for the runs of a round
AGAIN = 3  # how often a load that did not complete is started again, once the fault is over
COLUMNS = ("completed", "restarted", "failed", "again", "lost", "doubled", "stuck")
LEFT_WITHIN = 180  # seconds, for the worker to tidy up behind the last round


@dataclass
class Tally:
    """What came of the faults of one kind."""

    faults: int = 0
    seen: Counter[str] = field(default_factory=Counter)


def run_round(
    stack: Stack, api: Prefect, fault: str, expected: dict[str, int], tally: Tally, loads: tuple[Load, ...]
) -> None:
    """One fault while all loads run; what came of it goes into the tally."""
    started = {api.start(one.deployment, one.parameters, str(uuid4())): one for one in loads}
    stack.soon(2, 14)  # from the containers' start to the last commit
    FAULTS[fault](stack)
    tally.faults += 1
    states = wait(api, list(started), tally)
    for run, load in started.items():
        ended = states[run]
        restarted = "Restarted" in api.history(run)
        tally.seen["restarted" if restarted and ended == "COMPLETED" else _word(ended)] += 1
        attempts = 0
        while ended != "COMPLETED" and attempts < AGAIN:
            attempts += 1
            tally.seen["again"] += 1
            new = api.start(load.deployment, load.parameters, str(uuid4()))
            ended = wait(api, [new], tally)[new]
        check(stack, load, expected, tally)


def _word(state: str) -> str:
    return "completed" if state == "COMPLETED" else "failed"


def wait(api: Prefect, runs: list[str], tally: Tally) -> dict[str, str]:
    """How each run ended; one that does not is stuck, and counted."""
    deadline = time.monotonic() + ENDED_WITHIN
    while True:
        states = {run: state["type"] for run, state in api.states(runs).items()}
        open_runs = [run for run in runs if states.get(run) not in FINAL]
        if not open_runs:
            return states
        if time.monotonic() > deadline:
            tally.seen["stuck"] += len(open_runs)
            return {run: states.get(run, "UNKNOWN") for run in runs}
        time.sleep(1)


def check(stack: Stack, load: Load, expected: dict[str, int], tally: Tally) -> None:
    """Count the rows of a sink against the ledger, and against what was there before the first fault."""
    rows, different = load.count(stack.env)
    if load is not APPENDS:
        expected.setdefault(load.deployment, rows)
        different = min(different, expected[load.deployment])
    if rows != different:
        tally.seen["doubled" if rows > different else "lost"] += abs(rows - different)


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
        ended = Tally()
        for load in (LOADS[2], APPENDS):
            wait(api, [api.start(load.deployment, load.parameters, str(uuid4()))], ended)
    return found()


def table(tallies: dict[str, Tally]) -> str:
    """As Markdown."""
    counts = {name: [one.faults, *(one.seen[column] for column in COLUMNS)] for name, one in tallies.items()}
    counts["**all**"] = [sum(column) for column in zip(*counts.values(), strict=True)]
    head = ["fault", "times", *COLUMNS]
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *([name, *map(str, row)] for name, row in counts.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def chaos(rounds: int, seed: int, only: str) -> int:
    """Break, count, and print; the exit code."""
    env = settings()
    need_engine()
    need_demo(env)
    api = Prefect(env["PREFECT_API_URL"], env["PREFECT_API_KEY"])
    stack = Stack(env, random.Random(seed))
    since = datetime.now(UTC).isoformat()
    expected: dict[str, int] = {}
    tallies: dict[str, Tally] = defaultdict(Tally)
    watched = pause(api)
    try:
        first = Tally()
        for load in LOADS:
            run = api.start(load.deployment, load.parameters, str(uuid4()))
            if (ended := wait(api, [run], first)[run]) != "COMPLETED":
                raise UserError(f"{load.deployment} is {ended} before any fault: see its run in Prefect")
            check(stack, load, expected, first)
        said = ", ".join(f"{name} {rows:,}" for name, rows in expected.items())
        print(f"before the first fault: {said} rows (seed {seed})", flush=True)
        kinds = [name for name in FAULTS if only in name]
        try:
            for number in range(rounds):
                if number % len(kinds) == 0:
                    stack.chance.shuffle(kinds)
                fault = kinds[number % len(kinds)]
                began, before = time.monotonic(), Counter(tallies[fault].seen)
                run_round(stack, api, fault, expected, tallies[fault], LOADS)
                came = ", ".join(f"{count} {what}" for what, count in (tallies[fault].seen - before).items())
                print(f"{number + 1} of {rounds}: {fault}: {came} ({time.monotonic() - began:.0f} s)", flush=True)
        except KeyboardInterrupt:
            print("stopped: what came until now", flush=True)
        remains = left(stack, api, since)
    finally:
        if watched:
            api.ask(f"deployments/{watched}/resume_deployment", {})
    print(f"\n{table(tallies)}\n\nleft: {', '.join(f'{count} {what}' for what, count in remains.items())}")
    bad = sum(one.seen[name] for one in tallies.values() for name in ("lost", "doubled", "stuck"))
    return 1 if bad or any(remains.values()) else 0


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
    parser.add_argument("--rounds", type=int, default=len(FAULTS), help="faults (%(default)s: each once)")
    parser.add_argument("--seed", type=int, default=1, help="of what is left to chance (%(default)s)")
    parser.add_argument("--only", default="", metavar="WORDS", help="faults whose name has these words")
    args = parser.parse_args()
    if not [name for name in FAULTS if args.only in name]:
        sys.exit(f"no fault is called {args.only!r}; there are: {', '.join(FAULTS)}")
    try:
        sys.exit(chaos(args.rounds, args.seed, args.only))
    except UserError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
