# /// script
# requires-python = ">=3.11,<3.13"
# dependencies = ["checkov==3.3.30"]
# ///
"""Checkov's policies on terraform/, with every optional part. Prints what fails, and nothing else.

An environment of its own, locked in policies.py.lock: its packages and Prefect's don't go together.
`uv run --script terraform/checks/policies.py [--summary]`
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Exit with checkov's code. --summary prints its counts as well."""
    checkov = [str(Path(sys.executable).with_name("checkov")), "--compact", "--quiet", "--skip-download"]
    what = ["--framework", "terraform", "--directory", HERE.parent, "--var-file", HERE / "everything.tfvars"]
    # Without this it asks its maker's server for texts.
    env = {**os.environ, "BC_SKIP_MAPPING": "TRUE", "LOG_LEVEL": "ERROR"}
    done = subprocess.run([*checkov, *what], env=env, stdout=subprocess.PIPE, text=True)
    if done.returncode or "--summary" in sys.argv:
        print(done.stdout.strip())
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
