"""`make audit`: does uv.lock, with all extras and groups, hold a version with a known vulnerability?

Ends with 0 when there is none but those of audit.toml, with 1 when there is one, and with 2 when that is not known,
because the database of vulnerabilities, osv.dev, did not answer.
"""

import argparse
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from scripts.settings import ROOT

ACCEPTED = Path(__file__).with_name("audit.toml")
CLEAN, VULNERABLE, UNKNOWN = 0, 1, 2  # uv's own too
SAYS = {
    CLEAN: "No version in uv.lock has a known vulnerability that is not accepted in scripts/audit.toml.",
    VULNERABLE: "Move the package (pyproject.toml, then .venv/bin/uv lock), or accept it in scripts/audit.toml: why?",
    UNKNOWN: "Not known: the vulnerabilities could not be asked for, see above. Run it where osv.dev can be reached.",
}


@dataclass(frozen=True)
class Accepted:
    """A finding that stays. id: the advisory's, or one of its aliases."""

    id: str
    package: str
    since: date
    why: str


def accepted(file: Path = ACCEPTED) -> list[Accepted]:
    return [Accepted(**one) for one in tomllib.loads(file.read_text())["accepted"]]


def audit(folder: Path, ignored: list[str], service: str | None = None) -> int:
    """Compare the folder's lock with the database; what is found is printed. service: another one than osv.dev."""
    command = [sys.executable, "-m", "uv", "audit", "--frozen", "--preview-features", "audit", "--project", str(folder)]
    command += [word for one in ignored for word in ("--ignore", one)]
    command += ["--service-url", service] if service else []
    done = subprocess.run(command, env={"UV_HTTP_TIMEOUT": "20", **os.environ}, check=False)
    return done.returncode if done.returncode in (CLEAN, VULNERABLE) else UNKNOWN


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.audit", description=__doc__)
    parser.add_argument("--service", help="the address of another OSV service")
    given = parser.parse_args()
    found = audit(ROOT, [one.id for one in accepted()], given.service)
    print(SAYS[found], file=sys.stderr)
    return found


if __name__ == "__main__":
    sys.exit(main())
