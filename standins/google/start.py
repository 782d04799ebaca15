"""Google Cloud on this machine for a test or a demo: the emulators, and a key with which clients reach them."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.gcp_key import local_key
from scripts.settings import ROOT

PROJECT, BUCKET = "local", "longshore-local"


@contextmanager
def google_cloud(folder: Path, bucket: str = BUCKET) -> Iterator[dict[str, str]]:
    """All of it, on free ports, its data below `folder`; the environment with which clients reach it.

    The emulators end with this process, however it ends.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "emulators.log"
    command = [sys.executable, "-m", "standins.google", "--until-stdin-ends", "--root", str(folder), "--bucket", bucket]
    command += ["--gcs-port", "0", "--token-port", "0", "--bigquery-port", "0"]
    pipe = subprocess.PIPE
    with (
        log.open("w") as errors,
        subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=errors, text=True) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        env = addresses(process.stdout)
        if not env:
            raise RuntimeError(f"The emulators did not start.\n{log.read_text()[-2000:]}")
        key = folder / "key.json"
        key.write_text(json.dumps(local_key(env.pop("TOKEN_URI"), PROJECT)))
        try:
            yield env | {"GOOGLE_APPLICATION_CREDENTIALS": str(key), "GCP_PROJECT": PROJECT, "GCS_BUCKET": bucket}
        finally:
            process.stdin.close()


def addresses(lines: Iterable[str]) -> dict[str, str]:
    """NAME=value lines up to `ready`; nothing when that does not come."""
    found: dict[str, str] = {}
    for line in lines:
        if line == "ready\n":
            return found
        name, _, value = line.strip().partition("=")
        found[name] = value
    return {}
