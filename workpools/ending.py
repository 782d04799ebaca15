"""A worker that is asked to stop does, whatever it waits for; one that hangs ends, so that it can be started again."""

import asyncio
import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

HUNG = 70  # exit code of a worker whose event loop stands still
TICK = 1.0
Handler = Callable[[int, FrameType | None], Any]


def leave(code: int) -> None:
    """End this process now: no thread, no exit handler, no answer is waited for."""
    with contextlib.suppress(Exception):  # the stream may be in use just now, or closed
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def on_stop(act: Callable[[], None]) -> None:
    """At the first SIGTERM or SIGINT call `act` in a thread; what is called for them now is called as before.

    A thread, because the event loop may stand still.
    """
    begun = threading.Event()

    def chain(before: Any) -> Handler:
        def handle(number: int, frame: FrameType | None) -> None:
            if not begun.is_set():
                begun.set()
                threading.Thread(target=act, name="stop", daemon=True).start()
            if callable(before):
                before(number, frame)

        return handle

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, chain(signal.getsignal(number)))


def watch_loop(seconds: float, loop: asyncio.AbstractEventLoop) -> None:
    """End the process, and say where it stands, once the event loop has not come round for so many seconds.

    Counted in looks, not by the clock: a machine that slept, or a process that was stopped, is no hung loop.
    """
    ticked = threading.Event()

    def tick() -> None:
        ticked.set()
        loop.call_later(TICK, tick)

    def watch() -> None:
        missed = 0
        while missed < max(2, seconds / TICK):
            time.sleep(TICK)
            missed = 0 if ticked.is_set() else missed + 1
            ticked.clear()
            if loop.is_closed():
                return
        print(f"The worker has hung for {seconds:.0f} s, and ends. It stood here:", file=sys.stderr)
        faulthandler.dump_traceback(all_threads=True)
        leave(HUNG)

    loop.call_soon(tick)
    threading.Thread(target=watch, name="watch-loop", daemon=True).start()
