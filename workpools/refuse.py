"""What a worker refuses to run: whoever reaches Prefect's API could else start any image with any volume.

Checked on the configuration as the worker has resolved it, whatever the pool's template says. The proxy before the
engine (control/engine) looks at what arrives there once more.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from prefect_docker.worker import DockerWorkerJobConfiguration

from control import labels
from control.policy import CA_PATH, COMMAND, MEMORY, MIB, SCRATCH, UNITS, Policy, image_allowed
from workpools.docker import HARDENING

FREE = ("mem_limit", "scratch_mib", "env")  # what a single run may change of its deployment, within bounds
ABSENT = ("network_mode", "registry_credentials")


class Refused(Exception):
    """This run is not started. The message names what was asked for and may not be."""


def refusals(
    policy: Policy, deployment: Mapping[str, Any], run: Mapping[str, Any], made: DockerWorkerJobConfiguration
) -> list[str]:
    """What is wrong with a run, a line each; none when it is as it should be.

    deployment, run: their job variables. made: what the worker would start.
    """
    return [*_of_run(deployment, run), *_of_container(policy, deployment, made)]


def _of_run(deployment: Mapping[str, Any], run: Mapping[str, Any]) -> Iterator[str]:
    if other := sorted(set(run) - set(FREE)):
        yield f"{', '.join(other)}: a run may change {', '.join(FREE)} of its deployment, and nothing else"
    known = deployment.get("labels", {}).get(labels.SETTINGS, "").split()
    for name in sorted(set(run.get("env") or {}) - set(known)):
        yield f"env {name}: not a setting of this job; it has {', '.join(known) or 'none'}"


def _of_container(policy: Policy, deployment: Mapping[str, Any], made: DockerWorkerJobConfiguration) -> Iterator[str]:
    if made.image != deployment.get("image"):
        yield f"image {made.image}: its deployment's is {deployment.get('image')}"
    if not image_allowed(made.image, policy.images):
        yield f"image {made.image}: not one of {' or '.join(policy.images)}, with a tag or a digest"
    for name in sorted(set(made.networks) - set(policy.networks)) or ([] if made.networks else ["none"]):
        yield f"network {name}: not one of {', '.join(policy.networks)}"
    for volume in made.volumes:
        if volume != f"{policy.ca_file}:{CA_PATH}:ro":
            yield f"volume {volume}: none but JOB_CA_FILE's"
    if (made.command or "").split() != COMMAND:
        yield f"command {made.command}: must be {' '.join(COMMAND)}"
    for name in ABSENT:
        if getattr(made, name):
            yield f"{name}: none"
    if made.privileged or made.auto_remove:
        yield "privileged, auto_remove: must be false"
    if not _bytes_within(made.mem_limit, MEMORY) or made.memswap_limit != made.mem_limit:
        yield f"memory {made.mem_limit}: {MEMORY[0] // MIB}m to {MEMORY[1] // MIB}m, without swap"
    yield from _of_hardening(made.container_create_kwargs or {})
    if made.labels.get(labels.STACK) != policy.stack:
        yield f"label {labels.STACK} {made.labels.get(labels.STACK)}: this stack is {policy.stack}"


def _of_hardening(given: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*HARDENING, *given} - {"tmpfs"}):
        if given.get(name) != HARDENING.get(name):
            yield f"{name} {given.get(name)}: must be {HARDENING.get(name)}"
    scratch = dict(given.get("tmpfs") or {})
    if not _bytes_within(scratch.pop("/tmp", "").removeprefix("size="), SCRATCH) or scratch:  # noqa: S108
        yield f"tmpfs {given.get('tmpfs')}: /tmp alone, {SCRATCH[0] // MIB}m to {SCRATCH[1] // MIB}m"


def _bytes_within(size: str | None, bounds: tuple[int, int]) -> bool:
    number, unit = (size or "")[:-1], (size or "")[-1:]
    return number.isdigit() and unit in UNITS and bounds[0] <= int(number) * UNITS[unit] <= bounds[1]
