"""Start a worker of a pool on this machine, with the settings that `make deploy` has."""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping

from scripts.api import api_settings, need_api
from scripts.deploy import pool_and_environment
from scripts.settings import ROOT, UserError, own_server

# Prefect's and Google's own names -> ours.
NAMES = {
    "PREFECT_API_URL": "PREFECT_API_URL",
    "PREFECT_API_KEY": "PREFECT_API_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS": "GCP_KEY_FILE",
}
# What the docker worker holds its containers to (control/policy.py).
OF_DOCKER = ("NETWORK", "IMAGE_PREFIX", "REGISTRY", "JOB_CA_FILE")
OF_OUR_SERVER = ("PREFECT_TOKEN_KEY",)  # the one server that knows runs by tokens of ours


def variables(pool: str, found: Mapping[str, str]) -> dict[str, str]:
    """The environment of a pool's worker, beside what is there."""
    names = dict(NAMES)
    if pool == "docker":
        more = (*OF_DOCKER, *(OF_OUR_SERVER if own_server(found) else ()))
        names |= dict(zip(more, more, strict=True))
    return {name: found[ours] for name, ours in names.items() if found.get(ours)}


def main() -> None:
    """Parse the command line; become the worker."""
    parser = argparse.ArgumentParser(prog="python -m scripts.worker", description=__doc__)
    parser.add_argument("--pool", default="docker", help="docker, process, cloud-run or cloud-run-v2 (%(default)s)")
    parser.add_argument("--environment", default="", help="environments/NAME.toml (default: by the pool)")
    args = parser.parse_args()
    try:
        pool, environment = pool_and_environment(args.pool, args.environment)
        found = environment.settings()
        with api_settings(found):
            asyncio.run(need_api())
    except UserError as error:
        sys.exit(str(error))
    # By the environment: what is in a command line can be read by everybody on this machine.
    own = variables(pool.TYPE, found)
    command = [sys.executable, "-m", "workpools.worker", "--pool", pool.TYPE, "--type", pool.TYPE]
    os.chdir(ROOT)
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": str(ROOT), **own})  # noqa: S606 - no shell is meant


if __name__ == "__main__":
    main()
