"""`python -m standins.google.storage`: the emulator of Cloud Storage, which gives up a client that has vanished.

It serves one request at a time. A container that is killed in mid-upload can leave a connection that says nothing any
more, and is never closed: waiting for it would mean answering nobody else. EMULATOR_SILENCE_SECONDS: 30 by default.
"""

import os

from gcp_storage_emulator.__main__ import main
from gcp_storage_emulator.server import RequestHandler

if __name__ == "__main__":
    RequestHandler.timeout = float(os.environ.get("EMULATOR_SILENCE_SECONDS") or 30)
    main()
