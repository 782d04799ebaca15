"""Build the images: one per job, the server's and the stand-ins'."""

import argparse
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from scripts.base_images import base
from scripts.build_progress import Progress, side_by_side
from scripts.docker import docker, docker_says, image_exists, need_engine
from scripts.settings import ROOT, UserError, image_tag, settings

# image -> target of the Dockerfile, and what it must be able to import; a job has `job`, and its flow
SERVED = {
    "orchestration": ("server", "scripts.deploy, prefect_docker"),
    "sources": ("sources", "standins.taxi.__main__, standins.buses.__main__"),
    "dashboards": (
        "map",
        ", ".join(f"dashboards.late_buses.{name}" for name in ("map", "charts", "source", "warehouse"))
        + ", streamlit.web.cli",
    ),
    "emulators": ("emulators", "standins.google.__main__, bqemulator.server, gcp_storage_emulator.server, numpy"),
}


def jobs() -> list[str]:
    """Names of the jobs: the folders of jobs/ that can be deployed."""
    return sorted(path.parent.name.replace("_", "-") for path in (ROOT / "jobs").glob("*/deployment.py"))


def image_name(name: str, env: Mapping[str, str]) -> str:
    """PREFIX/NAME:TAG."""
    return f"{env['IMAGE_PREFIX']}/{name}:{env['TAG']}"


def build(name: str, env: Mapping[str, str], progress: Progress) -> str:
    """Build one image and import its code in a container without network; the image's full name."""
    image = image_name(name, env)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    args = {"BASE_IMAGE": env["BASE_IMAGE"], "JOB": name, "REVISION": env["TAG"], "VERSION": version}
    remote = subprocess.run(["git", "remote", "get-url", "origin"], cwd=ROOT, capture_output=True, text=True)
    args["SOURCE_URL"] = remote.stdout.strip() or "unknown"
    build_args = [part for key, value in args.items() for part in ("--build-arg", f"{key}={value}")]
    target, modules = SERVED.get(name, ("job", f"jobs.{name.replace('-', '_')}.flow"))
    command = ["docker", "build", "--file", "docker/Dockerfile", "--target", target, *build_args, "--tag", image, "."]
    with progress.build(name) as told:
        progress.run(told, command, env={**os.environ, "BUILDKIT_PROGRESS": "plain"})
        told.step = "importing its code"
        try:
            check_import(modules, image)
        except UserError:
            docker_says("rmi", image)  # or it would pass for a good one
            raise
    return image


def check_import(modules: str, image: str) -> None:
    """Import what the container will run, as locked up as it will run."""
    locked = "--network=none --read-only --tmpfs=/tmp --cap-drop=ALL --security-opt=no-new-privileges"
    docker("run", "--rm", *locked.split(), image, "python", "-c", f"import {modules}", quiet=True)


def put_extra_ca(env: Mapping[str, str]) -> None:
    """Copy EXTRA_CA_FILE to where the Dockerfile looks, or take an old copy away."""
    copy = ROOT / "docker/extra-ca/extra-ca.crt"
    if not env.get("EXTRA_CA_FILE"):
        copy.unlink(missing_ok=True)
        return
    try:
        content = Path(env["EXTRA_CA_FILE"]).read_bytes()
    except OSError as error:
        raise UserError(f"EXTRA_CA_FILE: {error}") from error
    if not copy.exists() or copy.read_bytes() != content:
        copy.write_bytes(content)


def build_all(names: list[str], env: dict[str, str]) -> list[str]:
    """Base, then the named images (all when none is named); their full names."""
    known = [*jobs(), *SERVED]
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"no image {unknown[0]!r}; there are: {', '.join(known)}")
    need_engine()
    base(env)
    put_extra_ca(env)
    wanted = names or known
    print(f"building {len(wanted)} image(s) of {env['IMAGE_PREFIX']}, {env['TAG']}", flush=True)
    with Progress(wanted).shown() as progress:
        # The first makes what all stand on; side by side from the start, each would.
        first = build(wanted[0], env, progress)
        return [first, *side_by_side(progress, lambda name: build(name, env, progress), wanted[1:])]


def build_missing(names: list[str], env: dict[str, str]) -> None:
    """Build those that are not there. A git revision means one thing; any other tag is built anew."""
    revision = env["TAG"] == image_tag() and not env["TAG"].endswith(("-dirty", "unversioned"))
    if wanted := [name for name in names if not (revision and image_exists(image_name(name, env)))]:
        build_all(wanted, env)


def main() -> None:
    """Parse the command line, build, list what was built."""
    parser = argparse.ArgumentParser(prog="python -m scripts.images", description=__doc__)
    parser.add_argument("names", nargs="*", help="images (default: all)")
    parser.add_argument("--base", action="store_true", help="only have the base images")
    args = parser.parse_args()
    try:
        env = settings()
        if args.base:
            need_engine()
            base(env)
            return
        for image in build_all(args.names, env):
            print(docker_says("images", "--format", "{{.Size}}\t{{.Repository}}:{{.Tag}}", image))
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
