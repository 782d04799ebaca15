"""What a job says about how it wants to be run: pure data, one instance per jobs/*/deployment.py."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

IN_IMAGE = "/opt/prefect/flows"  # where every image keeps the code

# The web, the warehouse, Google Cloud (or its emulators): what a job may need to reach.
REACHES = ("web", "warehouse", "cloud")


@dataclass(frozen=True)
class Cron:
    """A schedule by the calendar, in a named time zone."""

    cron: str
    timezone: str

    def __str__(self) -> str:
        return f"{self.cron} {self.timezone}"


@dataclass(frozen=True)
class Every:
    """A schedule by the clock: each so many seconds. A run that would overlap is for the flow to skip."""

    seconds: int

    def __str__(self) -> str:
        return f"every {self.seconds} s"


Schedule = Cron | Every


@dataclass(frozen=True)
class JobDeployment:
    """One deployment of one job.

    job: names the extra and the image. entrypoint: relative to the repository's root, which is the working directory
    of the image too. memory_mib, cpu (whole ones), timeout_seconds and max_retries (of a container that died): what a
    pool can't limit, it leaves. scratch_mib: of /tmp, which is memory and counts as such. restarts: how often a run
    is started again whose container died. concurrency: runs at once. settings: names of settings that the container
    gets when they are set. needs: settings without which the schedule is off, as every run would fail. reaches: which
    of REACHES it can open connections to, besides Prefect's API. blocks: what its runs may read of Prefect's blocks,
    as TYPE/NAME. runs: jobs whose flows it calls in its own container: its image holds them. starts: deployments, as
    FLOW/NAME, of which its runs may start some, in containers of their own. trial: parameters of a small
    run on the stand-ins of the websites, for the contract test. after: jobs whose trials must have been run before.
    """

    job: str
    entrypoint: str
    name: str
    description: str
    schedule: Schedule | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    memory_mib: int = 1024
    cpu: int = 1
    timeout_seconds: int = 3600
    max_retries: int = 0
    scratch_mib: int = 256
    restarts: int = 1
    concurrency: int = 1
    settings: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    reaches: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    trial: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()

    @property
    def flow(self) -> str:
        """The flow's name in Prefect: that of its function, with dashes."""
        return self.entrypoint.rpartition(":")[2].replace("_", "-")

    @property
    def path(self) -> str:
        """`flow/deployment`, as Prefect names it."""
        return f"{self.flow}/{self.name}"

    @property
    def block(self) -> str:
        """The name of its infrastructure block: of what Prefect lets one be made of."""
        return re.sub("[^a-z0-9]+", "-", self.path)

    def lacks(self, env: Mapping[str, str]) -> list[str]:
        """The settings that keep its schedule off."""
        return [name for name in self.needs if not env.get(name)]

    def chosen(self, env: Mapping[str, str]) -> dict[str, str]:
        """The settings that its container gets."""
        return {name: env[name] for name in self.settings if env.get(name)}
