"""Build the images: the base where no registry answers, one per job, the server's and the stand-ins'."""

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from scripts.docker import docker, docker_says, image_exists, need_engine
from scripts.settings import ROOT, UserError, settings, write_setting

# setting -> (our own image, folder with the list of Debian packages)
BOOTSTRAPPED = {
    "BASE_IMAGE": ("longshore/base:bookworm-python3.11", "docker/base"),
    "POSTGRES_IMAGE": ("longshore/postgres:bookworm-15", "docker/postgres"),
}
SERVED = {
    "orchestration": "server",
    "sources": "sources",
    "emulators": "emulators",
}  # extra -> target of the Dockerfile; jobs have `job`


def jobs() -> list[str]:
    """Names of the jobs: the folders of jobs/ that can be deployed."""
    return sorted(path.parent.name.replace("_", "-") for path in (ROOT / "jobs").glob("*/deployment.py"))


def image_name(name: str, env: Mapping[str, str]) -> str:
    """PREFIX/NAME:TAG."""
    return f"{env['IMAGE_PREFIX']}/{name}:{env['TAG']}"


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


def build(name: str, env: Mapping[str, str]) -> str:
    """Build one image and import its code in a container without network; the image's full name."""
    image = image_name(name, env)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    args = {"BASE_IMAGE": env["BASE_IMAGE"], "JOB": name, "REVISION": env["TAG"], "VERSION": version}
    remote = subprocess.run(["git", "remote", "get-url", "origin"], cwd=ROOT, capture_output=True, text=True)
    args["SOURCE_URL"] = remote.stdout.strip() or "unknown"
    build_args = [part for key, value in args.items() for part in ("--build-arg", f"{key}={value}")]
    print(f"building {image}", flush=True)
    target = SERVED.get(name, "job")
    docker("build", "--quiet", "--file", "docker/Dockerfile", "--target", target, *build_args, "--tag", image, ".")
    check_import(name, image)
    return image


def check_import(name: str, image: str) -> None:
    """Import what the container will run, as locked up as it will run."""
    modules = {"orchestration": "scripts.deploy, prefect_docker", "sources": "tests.sources.__main__"}
    modules |= {"emulators": "tests.emulators.__main__, bqemulator.server, gcp_storage_emulator.server"}
    module = modules.get(name, f"jobs.{name.replace('-', '_')}.flow")
    locked = ["--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"]
    docker(
        "run",
        "--rm",
        *locked,
        "--security-opt=no-new-privileges",
        image,
        "python",
        "-c",
        f"import {module}",
        quiet=True,
    )


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
    return [build(name, env) for name in names or known]


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
