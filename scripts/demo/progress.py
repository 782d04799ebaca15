"""Nobody should wonder whether it still works."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

EVERY = 4.0  # seconds between two signs of life


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Print what is being done, and every few seconds within that it still is."""
    began, over = time.monotonic(), threading.Event()

    def tell() -> None:
        while not over.wait(EVERY):
            print(f"  … {time.monotonic() - began:.0f} s", flush=True)

    print(f"{what} …", flush=True)
    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
