"""The base images: pulled, or made from Debian's packages where no registry answers."""

import os
import shutil
import subprocess
from pathlib import Path

from scripts.build_progress import Progress, failure, side_by_side
from scripts.docker import docker_says, image_exists
from scripts.settings import ROOT, UserError, write_setting

# setting -> (our own image, folder with the list of Debian packages)
BOOTSTRAPPED = {
    "BASE_IMAGE": ("longshore/base:bookworm-python3.11", "docker/base"),
    "POSTGRES_IMAGE": ("longshore/postgres:bookworm-15", "docker/postgres"),
}


def base(env: dict[str, str]) -> None:
    """Have BASE_IMAGE and POSTGRES_IMAGE: here already, else pulled, else made from Debian's packages."""
    wanted = {name: env[name] for name in BOOTSTRAPPED if not image_exists(env[name])}
    wanted = {name: image for name, image in wanted.items() if image == BOOTSTRAPPED[name][0] or not pull(image)}
    missing = {
        ours: ROOT / folder for ours, folder in (BOOTSTRAPPED[name] for name in wanted) if not image_exists(ours)
    }
    if missing:
        print(f"{' and '.join(wanted.values())} can't be pulled: made from Debian's packages", flush=True)
        need_mmdebstrap()
        with Progress(list(missing)).shown() as progress:
            side_by_side(progress, lambda image: bootstrap(image, missing[image], progress), list(missing))
    for setting in wanted:
        ours, _ = BOOTSTRAPPED[setting]
        write_setting(setting, ours)
        env[setting] = ours
        print(f"{setting}={ours} (noted in .env)", flush=True)


def pull(image: str) -> bool:
    """Try to pull; False when no registry answers or the image isn't there."""
    return subprocess.run(["docker", "pull", "--quiet", image], capture_output=True).returncode == 0


def bootstrap(image: str, folder: Path, progress: Progress | None = None) -> None:
    """Make an image of Debian bookworm with the packages of folder/packages.txt, and folder/Dockerfile on top."""
    need_mmdebstrap()
    progress = progress or Progress([image])
    lines = (folder / "packages.txt").read_text().splitlines()
    packages = ",".join(line for line in lines if line and not line.startswith("#"))
    options = ["--variant=essential", f"--include={packages}"]
    # usrmerge would bring in 45 MB of Perl for what this hook does in a line.
    options += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
    for path in ("man/*", "doc/*", "locale/*", "info/*"):
        options.append(f"--dpkgopt=path-exclude=/usr/share/{path}")
    options.append("--dpkgopt=path-include=/usr/share/doc/*/copyright")  # licences are carried through
    root = f"{image}-root" if (folder / "Dockerfile").exists() else image
    with progress.build(image) as told:
        debian = subprocess.Popen(
            ["mmdebstrap", *options, "bookworm", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        imported = subprocess.Popen(["docker", "import", "-", root], stdin=debian.stdout, stdout=subprocess.DEVNULL)
        progress.read(told, debian.stderr or ())
        if debian.wait() or imported.wait():
            docker_says("rmi", root)
            raise UserError(f"{failure(told)}\nmmdebstrap needs a Debian mirror")
        if root != image:
            progress.run(told, ["docker", "build", "--build-arg", f"ROOT={root}", "--tag", image, str(folder)])


def need_mmdebstrap() -> None:
    """Install mmdebstrap where we may, else say how."""
    if shutil.which("mmdebstrap"):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise UserError("install mmdebstrap first (Debian, Ubuntu: sudo apt-get install mmdebstrap)")
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "mmdebstrap"]):
        done = subprocess.run(["apt-get", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise UserError(f"mmdebstrap could not be installed:\n{done.stdout}")
