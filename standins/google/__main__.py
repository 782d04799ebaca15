"""`python -m standins.google`: Google Cloud on this machine, until it is stopped; its data stay below --root.

Prints the addresses as NAME=value, then `ready`.
"""

import argparse
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from standins.google.servers import bigquery, cloud_storage, free_port
from standins.google.tokens import tokens


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m standins.google", description=__doc__)
    parser.add_argument("which", nargs="*", default=["gcs", "bigquery"], help="gcs, bigquery (default: both)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    for name, port in (("gcs", 9023), ("token", 9024), ("bigquery", 9050)):
        parser.add_argument(f"--{name}-port", type=int, default=port, help="0 for a free one (%(default)s)")
    parser.add_argument("--root", type=Path, default=Path(".demo/cloud"), help="where the data are (%(default)s)")
    parser.add_argument("--bucket", default="longshore-local", help="made when it is not there (%(default)s)")
    parser.add_argument("--until-stdin-ends", action="store_true", help="stop when who started this is gone")
    found = parser.parse_args()
    if unknown := set(found.which) - {"gcs", "bigquery"}:
        parser.error(f"there is no {unknown.pop()!r}")
    return found


def stop_when_stdin_ends() -> None:
    """A pipe ends with the process that holds it, even when that is killed."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Start what is wanted, say where it is, and stay until a signal comes or a server ends."""
    given = options()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    if given.until_stdin_ends:
        stop_when_stdin_ends()
    root, host = given.root.resolve(), given.host
    root.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        processes = []
        if "gcs" in given.which:
            port = given.gcs_port or free_port()
            processes.append(stack.enter_context(cloud_storage(root, host, port, given.bucket)))
            print(f"STORAGE_EMULATOR_HOST=http://{host}:{port}")
            print(f"TOKEN_URI={stack.enter_context(tokens(host, given.token_port))}")
        if "bigquery" in given.which:
            port = given.bigquery_port or free_port()
            processes.append(stack.enter_context(bigquery(root, host, port)))
            print(f"BIGQUERY_EMULATOR_HOST=http://{host}:{port}")
        print("ready", flush=True)
        while all(process.poll() is None for process in processes):
            time.sleep(0.5)
        sys.exit("an emulator has ended")


if __name__ == "__main__":
    main()
