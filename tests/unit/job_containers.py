"""The body by which a worker has a job's container made, and what must never be in one."""

import copy
import json
from typing import Any

from docker.models.containers import _create_container_args
from prefect_docker.worker import DockerWorker, DockerWorkerJobConfiguration

import docker
from control.labels import RUN, STACK
from control.policy import Policy
from workpools.docker import FIXED, HARDENING

RUN_ID = "01234567-89ab-cdef-0123-456789abcdef"
API = "1.41"


def container_settings(policy: Policy, image: str, name: str, **changes: Any) -> dict[str, Any]:
    """What Prefect's docker worker hands to docker-py for a job of ours."""
    settings: dict[str, Any] = {
        "image": image,
        "name": name,
        "command": FIXED["command"],
        "networks": [policy.networks[0]],
        "mem_limit": "128m",
        "memswap_limit": "128m",
        "env": {"PREFECT_API_URL": "http://prefect:4200/api"},
        "labels": {STACK: policy.stack, RUN: RUN_ID, "io.prefect.flow-run-name": name},
        "volumes": [f"{policy.ca_file}:/etc/ssl/job-ca.crt:ro"] if policy.ca_file else [],
        "container_create_kwargs": {**HARDENING, "tmpfs": {"/tmp": "size=64m"}},
    }
    made = DockerWorkerJobConfiguration(**{**settings, **changes})
    built: dict[str, Any] = DockerWorker._build_container_settings(None, docker.DockerClient(version=API), made)
    return built


def job_body(policy: Policy, image: str, **changes: Any) -> dict[str, Any]:
    """The same as docker-py sends it."""
    client = docker.DockerClient(version=API)
    args = _create_container_args({**container_settings(policy, image, "a-run", **changes), "version": API})
    args.pop("name")
    made = client.api.create_container_config(**args)
    body: dict[str, Any] = json.loads(json.dumps({name: value for name, value in made.items() if value is not None}))
    return body


# What is changed in the body of a job's container, by the name of the attempt: where, and to what.
FORBIDDEN: dict[str, tuple[str, Any]] = {
    "privileged": ("HostConfig.Privileged", True),
    "privileged in another case": ("HostConfig.privileged", True),
    "host config in another case": ("hostconfig", {"Privileged": True}),
    "the root of the machine": ("HostConfig.Binds", ["/:/host"]),
    "the engine's socket": ("HostConfig.Binds", ["/var/run/docker.sock:/var/run/docker.sock"]),
    "the CA writable": ("HostConfig.Binds", ["/ca.crt:/etc/ssl/job-ca.crt"]),
    "the CA and another": ("HostConfig.Binds", ["/ca.crt:/etc/ssl/job-ca.crt:ro", "/etc:/x:ro"]),
    "a mount": ("HostConfig.Mounts", [{"Type": "bind", "Source": "/", "Target": "/host"}]),
    "a volume": ("Volumes", {"/data": {}}),
    "another's volumes": ("HostConfig.VolumesFrom", ["postgres"]),
    "host processes": ("HostConfig.PidMode", "host"),
    "host IPC": ("HostConfig.IpcMode", "host"),
    "host name space": ("HostConfig.UTSMode", "host"),
    "host users": ("HostConfig.UsernsMode", "host"),
    "host cgroups": ("HostConfig.CgroupnsMode", "host"),
    "a cgroup parent": ("HostConfig.CgroupParent", "/"),
    "host network": ("HostConfig.NetworkMode", "host"),
    "the default network": ("HostConfig.NetworkMode", ""),
    "another container's network": ("HostConfig.NetworkMode", "container:prefect"),
    "a network of no job": ("HostConfig.NetworkMode", "longshore-records"),
    "an alias": ("NetworkingConfig", {"EndpointsConfig": {"longshore-api": {"Aliases": ["prefect"]}}}),
    "a capability": ("HostConfig.CapAdd", ["SYS_ADMIN"]),
    "capabilities kept": ("HostConfig.CapDrop", []),
    "a device": ("HostConfig.Devices", [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda"}]),
    "device rules": ("HostConfig.DeviceCgroupRules", ["a *:* rwm"]),
    "no seccomp": ("HostConfig.SecurityOpt", ["no-new-privileges:true", "seccomp=unconfined"]),
    "new privileges": ("HostConfig.SecurityOpt", []),
    "/proc bared": ("HostConfig.MaskedPaths", []),
    "/proc writable": ("HostConfig.ReadonlyPaths", []),
    "another runtime": ("HostConfig.Runtime", "other"),
    "sysctls": ("HostConfig.Sysctls", {"net.ipv4.ip_forward": "1"}),
    "a writable root": ("HostConfig.ReadonlyRootfs", False),
    "a writable root, said later": ("HostConfig.readonlyrootfs", False),
    "no memory limit": ("HostConfig.Memory", 0),
    "too much memory": ("HostConfig.Memory", 2**40),
    "swap without end": ("HostConfig.MemorySwap", -1),
    "no limit of processes": ("HostConfig.PidsLimit", -1),
    "no limit of processes, said later": ("HostConfig.pidslimit", None),
    "scratch that can run": ("HostConfig.Tmpfs", {"/tmp": "size=64m,exec"}),
    "scratch too large": ("HostConfig.Tmpfs", {"/tmp": "size=9g"}),
    "scratch elsewhere": ("HostConfig.Tmpfs", {"/tmp": "size=64m", "/etc": "size=64m"}),
    "a port": ("HostConfig.PortBindings", {"80/tcp": [{"HostPort": "80"}]}),
    "all ports": ("HostConfig.PublishAllPorts", True),
    "a way to the machine": ("HostConfig.ExtraHosts", ["host.docker.internal:host-gateway"]),
    "a restart by Docker": ("HostConfig.RestartPolicy", {"Name": "always"}),
    "removal by Docker": ("HostConfig.AutoRemove", True),
    "a log elsewhere": ("HostConfig.LogConfig", {"Type": "syslog", "Config": {"syslog-address": "tcp://evil:1"}}),
    "a less killable one": ("HostConfig.OomScoreAdj", -1000),
    "another image": ("Image", "evil/x:t"),
    "an image without tag": ("Image", "longshore/x"),
    "an image by a trick": ("Image", "longshore/../evil:t"),
    "an image by id": ("Image", "sha256:" + "0" * 64),
    "another command": ("Cmd", ["sh", "-c", "id"]),
    "a command as text": ("Cmd", "python -m longshore.flows.engine"),
    "an entrypoint": ("Entrypoint", ["sh"]),
    "another shell": ("Shell", ["sh"]),
    "root": ("User", "0"),
    "root's group": ("User", "10001:0"),
    "a check that runs": ("Healthcheck", {"Test": ["CMD-SHELL", "id"]}),
    "another folder": ("WorkingDir", "/"),
    "the name of a server": ("Hostname", "prefect"),
    "an address": ("MacAddress", "02:42:ac:11:00:02"),
    "no label": ("Labels", {}),
    "another stack's label": ("Labels", {STACK: "other", RUN: RUN_ID}),
    "no run": ("Labels", {STACK: "longshore"}),
    "a service of compose": ("Labels", {STACK: "longshore", RUN: RUN_ID, "com.docker.compose.service": "worker"}),
    "an input": ("OpenStdin", True),
    "Env of another kind": ("Env", {"A": "b"}),
}


def changed(body: dict[str, Any], where: str, value: Any) -> dict[str, Any]:
    """A copy of the body with one field another."""
    made = copy.deepcopy(body)
    *outer, field = where.split(".")
    target = made
    for name in outer:
        target = target[name]
    target[field] = value
    return made
