"""Push the images to a registry, under the git revision, and note their digests for the deployments."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scripts.docker import need_engine
from scripts.environment import read_environment
from scripts.images import build_missing, jobs
from scripts.push_images import Pushed, push
from scripts.push_plan import show_plan
from scripts.registry import Registry, parse
from scripts.registry_login import find_login
from scripts.settings import ROOT, UserError, need, settings


def images() -> list[str]:
    """What is pushed: every job, and the image that the worker runs in."""
    return [*jobs(), "orchestration"]


def write(pushed: Iterable[Pushed], tag: str, registry: str, path: Path) -> None:
    """Note the digests, all at once: a reader sees the old file or the new one."""
    digests = {one.name: f"{registry}/{one.name}@{one.digest}" for one in pushed}
    content: dict[str, Any] = {"revision": tag, "registry": registry, "images": digests}
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(content, indent=2) + "\n")
    new.replace(path)


def refuse_dirty(root: Path = ROOT) -> None:
    """Fail where files differ from the commit, and name them: its number would not say what is in the images."""
    status = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True)
    if status.returncode:
        raise UserError(f"git does not know this tree, so the images would have no revision: {status.stderr.strip()}")
    if changed := status.stdout.splitlines():
        names = "\n".join(f"  {one}" for one in changed[:10])
        more = f"\n  and {len(changed) - 10} more" if len(changed) > 10 else ""
        raise UserError(f"not pushed: these files are not as committed. Commit them, or DIRTY=1.\n{names}{more}")


def main() -> None:
    """Parse the command line and push."""
    parser = argparse.ArgumentParser(prog="python -m scripts.push", description=__doc__)
    parser.add_argument("--dirty", action="store_true", help="push although files differ from the commit")
    parser.add_argument("--dry-run", action="store_true", help="show what would go where, and send nothing")
    args = parser.parse_args()
    try:
        env = read_environment(settings()["ENVIRONMENT"] or "cloud").settings()
        name = env.get("REGISTRY", "").rstrip("/")
        host, _ = parse(name)
        if not args.dirty and not args.dry_run:
            refuse_dirty()
        need(env, "TAG", "IMAGE_PREFIX")
        need_engine()
        registry = Registry(name, find_login(host, env))
        if args.dry_run:
            show_plan(images(), env, registry)
            return
        registry.tags(images()[0])  # a refusal is better known before minutes of building
        build_missing(images(), env)
        started = time.monotonic()
        pushed = push(images(), env, registry)
        path = ROOT / (env.get("IMAGES_FILE") or "pushed-images.json")
        write(pushed, env["TAG"], name, path)
        sent, there = sum(one.sent for one in pushed), sum(one.there for one in pushed)
        seconds = time.monotonic() - started
        print(f"{len(pushed)} images: sent {sent:,} bytes, there already {there:,}, {seconds:.1f} s; noted in {path}")
    except UserError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("stopped. What has arrived stays there: `make push` again sends the rest", file=sys.stderr)
        os._exit(130)  # the threads wait for the engine, which stops when we are gone


if __name__ == "__main__":
    main()
