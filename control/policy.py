"""What a job's container may be, as data: the proxy before the engine holds every create to it, and so can a worker.

Only what is listed may be given, spelt as here, even if empty: the engine's reader takes `memory` for `Memory`, and an
empty `MaskedPaths` bares /proc. What docker-py sends for workpools/docker.py is all that has to pass.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from control.labels import RUN, STACK

# One process, and 6 s sooner there than `prefect flow-run execute`.
COMMAND = ["python", "-m", "longshore.flows.engine"]
USER = "10001:10001"
CA_PATH = "/etc/ssl/job-ca.crt"
JOB_NETWORKS = ("api", "web", "warehouse", "cloud")

MIB = 1024**2
MEMORY = (16 * MIB, 16 * 1024 * MIB)
SCRATCH = (64 * MIB, 8 * 1024 * MIB)
PIDS = (1, 4096)
NANO_CPUS = (1, 64 * 10**9)

# Docker's own grammar, without what nobody here needs: a tag or a digest must be given.
IMAGE = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._-]*(:\d+)?(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)+)"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?P<digest>@sha256:[0-9a-f]{64})?"
)
TMPFS = re.compile(r"size=([1-9]\d{0,5})([mg])")
UNITS = {"m": MIB, "g": 1024 * MIB}
RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Others mean something to Docker's tools: a job must not pass for a service of compose.
LABELS = ("longshore.", "io.prefect.")


@dataclass(frozen=True)
class Policy:
    """One stack's rules. `images` and `pulls` are prefixes of names; `ca_file` may be empty."""

    stack: str
    images: tuple[str, ...]
    networks: tuple[str, ...]
    ca_file: str = ""
    user: str = USER
    pulls: tuple[str, ...] = ()

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Policy":
        """The rules under these settings: NETWORK, IMAGE_PREFIX, REGISTRY, JOB_CA_FILE."""
        stack = env.get("NETWORK") or "longshore"
        registry = env.get("REGISTRY", "").strip("/")
        pulls = (f"{registry}/",) if registry else ()
        return cls(
            stack=stack,
            images=(f"{(env.get('IMAGE_PREFIX') or 'longshore').strip('/')}/", *pulls),
            networks=tuple(f"{stack}-{name}" for name in JOB_NETWORKS),
            ca_file=env.get("JOB_CA_FILE", ""),
            pulls=pulls,
        )


@dataclass(frozen=True)
class Rule:
    """What a field may hold; None stands for a field that is not given."""

    wanted: str
    holds: Callable[[Policy, Any], bool]


def image_allowed(image: Any, prefixes: tuple[str, ...]) -> bool:
    """Whether the name, with a tag or a digest, is one of an image under these prefixes."""
    named = IMAGE.fullmatch(image) if isinstance(image, str) else None
    return bool(named and named["name"] != image and named["name"].startswith(prefixes))


def _only(*values: Any) -> Callable[[Policy, Any], bool]:
    return lambda _, given: any(type(given) is type(value) and given == value for value in values)


def _between(low: int, high: int) -> Callable[[Policy, Any], bool]:
    return lambda _, given: type(given) is int and low <= given <= high


def _labels(policy: Policy, given: Any) -> bool:
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        return False
    ours = given.get(STACK) == policy.stack and RUN_ID.fullmatch(given.get(RUN, ""))
    return bool(ours) and all(name.startswith(LABELS) for name in given)


def _tmpfs(_: Policy, given: Any) -> bool:
    if not isinstance(given, dict) or list(given) != ["/tmp"] or not isinstance(given["/tmp"], str):  # noqa: S108
        return False
    size = TMPFS.fullmatch(given["/tmp"])  # noqa: S108 - of the container
    return size is not None and SCRATCH[0] <= int(size[1]) * UNITS[size[2]] <= SCRATCH[1]


def _endpoints(policy: Policy, given: Any) -> bool:
    """docker-py writes the network's name with null, and only NetworkMode counts; an address or alias is neither."""
    if given is None:
        return True
    return isinstance(given, dict) and all(name in policy.networks and not value for name, value in given.items())


CONFIG = {
    "Image": Rule("an image of this stack, with a tag or digest", lambda policy, v: image_allowed(v, policy.images)),
    "User": Rule("empty or the jobs' own", lambda policy, v: v in (None, "", policy.user)),
    "Cmd": Rule(" ".join(COMMAND), _only(COMMAND)),
    "Env": Rule(
        "a list of texts", lambda _, v: v is None or (isinstance(v, list) and all(isinstance(e, str) for e in v))
    ),
    "Labels": Rule(f"{STACK} of this stack, {RUN}, and others that begin with {' or '.join(LABELS)}", _labels),
    "Volumes": Rule(
        f"none but {CA_PATH}, with JOB_CA_FILE",
        lambda policy, v: v in (None, {}) or (bool(policy.ca_file) and v == {CA_PATH: {}}),
    ),
    "NetworkingConfig": Rule("networks of jobs, without address or alias", _endpoints),
    "HostConfig": Rule("given", lambda _, v: isinstance(v, dict)),
    "AttachStdin": Rule("false", _only(None, False)),
    "AttachStdout": Rule("true or false", _only(None, False, True)),
    "AttachStderr": Rule("true or false", _only(None, False, True)),
    "OpenStdin": Rule("false", _only(None, False)),
    "StdinOnce": Rule("false", _only(None, False)),
    "Tty": Rule("false", _only(None, False)),
    "NetworkDisabled": Rule("false", _only(None, False)),
}

HOST_CONFIG = {
    "Binds": Rule(
        f"none but JOB_CA_FILE:{CA_PATH}:ro",
        lambda policy, v: v in (None, []) or (bool(policy.ca_file) and v == [f"{policy.ca_file}:{CA_PATH}:ro"]),
    ),
    "CapDrop": Rule("ALL", _only(["ALL"])),
    "Init": Rule("true or false", _only(None, False, True)),
    "Memory": Rule("{} to {} bytes".format(*MEMORY), _between(*MEMORY)),
    "MemorySwap": Rule("{} to {} bytes".format(*MEMORY), _between(*MEMORY)),
    "NanoCpus": Rule("a number of CPUs", lambda _, v: v is None or _between(*NANO_CPUS)(_, v)),
    "NetworkMode": Rule("a network of jobs", lambda policy, v: v in policy.networks),
    "PidsLimit": Rule("{} to {}".format(*PIDS), _between(*PIDS)),
    "ReadonlyRootfs": Rule("true", _only(True)),
    "SecurityOpt": Rule("no-new-privileges", _only(["no-new-privileges:true"], ["no-new-privileges"])),
    "Tmpfs": Rule("/tmp alone, size=64m to size=8g", _tmpfs),  # noqa: S108
}

HINTS = {
    "HostConfig.ExtraHosts": "Prefect adds host.docker.internal, which leads to this machine, where the job's "
    "PREFECT_API_URL is missing or says localhost: set it to http://prefect:4200/api",
}


def refusals(policy: Policy, body: Any) -> list[str]:
    """What is wrong with the body of a container's create, each with what may stand there; empty when all is well."""
    if not isinstance(body, dict):
        return ["the body is no JSON object"]
    host = body.get("HostConfig")
    return [
        *_wrong(policy, CONFIG, body, ""),
        *_wrong(policy, HOST_CONFIG, host if isinstance(host, dict) else {}, "HostConfig."),
    ]


def _wrong(policy: Policy, rules: Mapping[str, Rule], given: Mapping[str, Any], where: str) -> Iterator[str]:
    for name in sorted({*rules, *given}):
        rule = rules.get(name)
        if rule is None:
            hint = HINTS.get(where + name)
            yield f"{where}{name} is not for a job's container" + (f" ({hint})" if hint else "")
        elif not rule.holds(policy, given.get(name)):
            # What stands in Env is secret.
            shown = "" if name in ("Env", "HostConfig") else f" {given.get(name)!r:.100}"
            yield f"{where}{name}{shown}: must be {rule.wanted}"
