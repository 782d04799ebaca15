"""Prefect's own command line, with the API and the key that .env names: make prefect DO='flow-run cancel ID'."""

import os
import shlex
import sys
from pathlib import Path

from scripts.api import here
from scripts.settings import UserError


def prefect(*words: object) -> str:
    """The command that a person types for it."""
    return f"make prefect DO={shlex.quote(' '.join(map(str, words)))}"


def main() -> None:
    """Become it; the key goes by the environment, as a command line can be read by everybody on this machine."""
    try:
        env = here()
        words = shlex.split(" ".join(sys.argv[1:]))
    except (UserError, ValueError) as error:
        sys.exit(str(error))
    own = {name: env[name] for name in ("PREFECT_API_URL", "PREFECT_API_KEY") if env.get(name)}
    command = str(Path(sys.executable).with_name("prefect"))
    os.execve(command, [command, *words], {**os.environ, **own})  # noqa: S606 - no shell is meant


if __name__ == "__main__":
    main()
