"""Rounds: each runs every contender once, in a turning order, and counts the rows that arrived."""

from __future__ import annotations

from dataclasses import dataclass, replace

from scripts.bench.measure import Run, run_process
from scripts.bench.part import TENFOLD, Contender, Input, Place
from scripts.bench.results import Results


@dataclass(frozen=True)
class Rounds:
    """How many: of the fast contenders, of the slow ones, with ten times the rows."""

    fast: int
    slow: int
    tenfold: int


def compete(place: Place, given: Input, rounds: Rounds, warm: bool) -> Results:
    """All contenders that this size of input is for, round by round.

    warm: the fast ones have run before; else each runs once more, uncounted: the first start of all compiles bytecode
    and reads from the disk.
    """
    tenfold = given.size is TENFOLD
    contenders = [x for x in place.contenders if given.size in x.sizes]
    place.prepare(given)
    for contender in contenders:
        if not warm and not contender.slow:
            once(place, given, contender)
    runs: dict[str, list[Run]] = {contender.key: [] for contender in contenders}
    count = min(rounds.fast, rounds.tenfold) if tenfold else rounds.fast
    for number in range(count):
        now = [x for x in contenders if not x.slow or number < rounds.slow]
        turn = number % len(now)
        for contender in now[turn:] + now[:turn]:
            run = once(place, given, contender)
            runs[contender.key].append(run)
            title = contender.title.replace("\\|", "|").replace("`", "")
            said = ", ".join(f"{name} {value:,.2f}" for name, value in run.said.items())
            worked = f"{run.client:.2f}" + ("" if run.server is None else f" + {run.server:.2f}")
            line = f"{run.seconds:.2f} s, processor {worked} s, of itself: {said or '-'}"
            print(f"round {number + 1}/{count}  {title}: {line}", flush=True)
    ran = [x for x in contenders if runs[x.key]]
    return Results(
        given.size.rows,
        {x.key: runs[x.key] for x in ran},
        {x.key: x.title for x in ran},
        frozenset(x.key for x in ran if x.python),
    )


def once(place: Place, given: Input, contender: Contender) -> Run:
    """One run of one contender, its rows counted."""
    target = contender.target.format(name=given.size.name)
    place.settle(target)
    log = given.log(contender.key)
    before = place.processor()
    run = run_process(contender.command(given, target), given.env, log)
    after = place.processor()
    server = None if before is None or after is None else after - before
    run = replace(run, server=server, said=run.said | place.observed())
    arrived = place.count(target)
    if arrived != given.size.rows:
        raise SystemExit(f"{contender.title}: {arrived:,} rows arrived of {given.size.rows:,}. See {log}.")
    place.settle(target)
    return run
