"""`make push-dry-run`: what would go where, and what of it is there already."""

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from scripts.docker import docker_says, image_exists
from scripts.images import image_name
from scripts.registry import Registry
from scripts.settings import ROOT


def show_plan(names: Iterable[str], env: Mapping[str, str], registry: Registry) -> None:
    """A line for each image. Nothing is built, tagged or sent."""
    print(f"revision {env['TAG']}, log-in: {registry.login.source if registry.login else 'none'}")
    for name in names:
        local = image_name(name, env)
        print(f"{registry.name}/{name}:{env['TAG']}")
        print(f"  {state(name, local, env['TAG'], registry)}", flush=True)


def state(name: str, local: str, tag: str, registry: Registry) -> str:
    """What pushing the image would mean."""
    there = registry.manifest(name, tag)
    if not image_exists(local):
        return f"not built yet: `make push` builds it{' anew, though the tag is there already' if there else ''}"
    layers = docker_says("inspect", "--format", "{{range .RootFS.Layers}}{{.}} {{end}}", local).split()
    mb = int(docker_says("inspect", "--format", "{{.Size}}", local)) / 1e6
    about = f"{mb:.0f} MB, {len(layers)} layers"
    reference = tag if there else newest(registry.tags(name))
    manifest = there or (registry.manifest(name, reference) if reference else None)
    if manifest is None:
        return f"{about}: nothing of it is there, unless another image has brought it"
    kept = dict(zip(registry.contents(name, manifest), (size for _, size in manifest.layers), strict=False))
    shared = [kept[one] for one in layers if one in kept]
    if there and len(shared) == len(layers) == len(kept):
        return f"{about}: there already, {there.digest}"
    new = len(layers) - len(shared)
    return (
        f"{about}: {len(shared)} there with {reference} ({sum(shared):,} bytes), "
        f"{new} to send (at most {unpacked(local, new):,} bytes before compression)"
    )


def newest(tags: set[str], root: Path = ROOT) -> str:
    """The tag of the newest revision before this one; empty when none was pushed."""
    log = ["git", "log", "--format=%H", "--max-count=1000"]
    done = subprocess.run(log, cwd=root, capture_output=True, text=True)
    return next((sha[:12] for sha in done.stdout.split() if sha[:12] in tags), "")


def unpacked(image: str, layers: int) -> int:
    """Bytes, before compression, that the image's last layers hold at most: a layer may hold nothing."""
    history = docker_says("history", "--human=false", "--format", "{{.Size}}", image).split()
    return sum([int(size) for size in history if int(size)][:layers])
