"""The base images: pulled, or made from Debian's packages where no registry answers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.docker import docker, docker_says, image_exists
from scripts.settings import ROOT, UserError, write_setting

# setting -> (our own image, folder with the list of Debian packages)
BOOTSTRAPPED = {
    "BASE_IMAGE": ("longshore/base:bookworm-python3.11", "docker/base"),
    "POSTGRES_IMAGE": ("longshore/postgres:bookworm-15", "docker/postgres"),
}


def base(env: dict[str, str]) -> None:
    """Have BASE_IMAGE and POSTGRES_IMAGE: here already, else pulled, else made from Debian's packages."""
    for setting, (ours, folder) in BOOTSTRAPPED.items():
        image = env[setting]
        if image_exists(image) or (image != ours and pull(image)):
            continue
        if not image_exists(ours):
            print(f"{image} can't be pulled: building {ours} from Debian's packages (a minute)", flush=True)
            bootstrap(ours, ROOT / folder)
        write_setting(setting, ours)
        env[setting] = ours
        print(f"{setting}={ours} (noted in .env)", flush=True)


def pull(image: str) -> bool:
    """Try to pull; False when no registry answers or the image isn't there."""
    return subprocess.run(["docker", "pull", "--quiet", image], capture_output=True).returncode == 0


def bootstrap(image: str, folder: Path) -> None:
    """Make an image of Debian bookworm with the packages of folder/packages.txt, and folder/Dockerfile on top."""
    need_mmdebstrap()
    lines = (folder / "packages.txt").read_text().splitlines()
    packages = ",".join(line for line in lines if line and not line.startswith("#"))
    options = ["--variant=essential", f"--include={packages}", "--quiet"]
    # usrmerge would bring in 45 MB of Perl for what this hook does in a line.
    options += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
    for path in ("man/*", "doc/*", "locale/*", "info/*"):
        options.append(f"--dpkgopt=path-exclude=/usr/share/{path}")
    options.append("--dpkgopt=path-include=/usr/share/doc/*/copyright")  # licences are carried through
    root = f"{image}-root" if (folder / "Dockerfile").exists() else image
    debian = subprocess.Popen(["mmdebstrap", *options, "bookworm", "-"], stdout=subprocess.PIPE)
    imported = subprocess.run(["docker", "import", "-", root], stdin=debian.stdout, stdout=subprocess.DEVNULL)
    if debian.wait() or imported.returncode:
        docker_says("rmi", root)
        raise UserError(f"mmdebstrap could not make {image} (see above); it needs a Debian mirror")
    if root != image:
        docker("build", "--quiet", "--build-arg", f"ROOT={root}", "--tag", image, str(folder))


def need_mmdebstrap() -> None:
    """Install mmdebstrap where we may, else say how."""
    if shutil.which("mmdebstrap"):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise UserError("install mmdebstrap first (Debian, Ubuntu: sudo apt-get install mmdebstrap)")
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "mmdebstrap"]):
        subprocess.run(["apt-get", *command], check=True, stdout=sys.stderr)
