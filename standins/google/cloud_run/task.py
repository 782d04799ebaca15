"""What a job asks for, whatever the version of the API, and which of it Cloud Run refuses."""

import re
from dataclasses import dataclass, field

from standins.google.cloud_run.errors import ApiError, invalid

MIB = 2**20
SUFFIX = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": MIB, "Gi": 2**30}
# CPUs -> least and most memory. A job is always of the second generation, which needs 512 MiB.
MEMORY = {1: (512, 4096), 2: (512, 8192), 4: (2048, 16384), 6: (4096, 24576), 8: (4096, 32768)}
LONGEST = 7 * 24 * 3600
MOST_RETRIES = 10
HOSTS = r"(?:[a-z0-9-]+\.)?gcr\.io|(?:[a-z0-9-]+-)?docker\.pkg\.dev|docker\.io"
IMAGE = re.compile(rf"(?:{HOSTS})/[a-z0-9._/-]+(?::[\w.-]{{1,128}})?(?:@sha256:[0-9a-f]{{64}})?")
NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
SERVICE_ACCOUNT = re.compile(r"[a-z0-9-]+@([a-z0-9-]+\.)+(iam\.)?gserviceaccount\.com|default")


@dataclass(frozen=True)
class SecretFile:
    """A version of a secret, as a file in the container."""

    path: str
    secret: str
    version: str


@dataclass(frozen=True)
class Task:
    """A container to run. memory: bytes. timeout: seconds, of each attempt. secret_env: name -> (secret, version)."""

    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: dict[str, str]
    cpu: float
    memory: int
    timeout: float
    max_retries: int
    service_account: str = ""
    secret_env: dict[str, tuple[str, str]] = field(default_factory=dict)
    files: tuple[SecretFile, ...] = ()


def check_name(name: str) -> None:
    """Refuse what cannot be a job's name."""
    if not NAME.fullmatch(name):
        raise invalid(
            "metadata.name",
            f"{name!r}: use lowercase letters, digits and dashes, begin with a letter, at most 63 characters",
        )


def check(task: Task, at: str) -> None:
    """Refuse what Cloud Run would not run. at: where the task stands in the request."""
    container = f"{at}.containers[0]"
    if not IMAGE.fullmatch(task.image):
        raise invalid(
            f"{container}.image",
            "Expected an image path like [host/]repo-path[:tag and/or @digest], where host is one of [region.]gcr.io, "
            f"[region-]docker.pkg.dev or docker.io but obtained {task.image}",
        )
    if task.cpu not in MEMORY:
        cpus = f"Invalid value specified for cpu: {task.cpu:g}. It can be {', '.join(map(str, MEMORY))}."
        raise invalid(f"{container}.resources.limits.cpu", cpus)
    least, most = MEMORY[int(task.cpu)]
    if not least * MIB <= task.memory <= most * MIB:
        limits = f"For {task.cpu:g} CPU, memory must be between {least}Mi and {most}Mi inclusive."
        raise invalid(f"{container}.resources.limits.memory", limits)
    if reserved := sorted(name for name in task.env if name.startswith("CLOUD_RUN_") or name == "PORT"):
        raise invalid(f"{container}.env", f"The following reserved env names were provided: {', '.join(reserved)}")
    if not 1 <= task.timeout <= LONGEST:
        raise invalid(f"{at}.timeout", f"must be between 1 and {LONGEST} seconds")
    if not 0 <= task.max_retries <= MOST_RETRIES:
        raise invalid(f"{at}.maxRetries", f"must be between 0 and {MOST_RETRIES}")
    if task.service_account and not SERVICE_ACCOUNT.fullmatch(task.service_account):
        raise invalid(f"{at}.serviceAccount", f"{task.service_account!r} is not the e-mail of a service account")


def amount(text: str, at: str) -> float:
    """`512Mi` or `1000m` as a number."""
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)(m|[kMG]|[KMG]i|)", text):
        return float(found[1]) / 1000 if found[2] == "m" else float(found[1]) * SUFFIX[found[2]]
    raise ApiError(400, f"{at}: Invalid quantity: {text!r}")
