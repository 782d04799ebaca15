"""The docker command line, as the other scripts need it."""

import os
import shutil
import subprocess
from collections.abc import Mapping

from scripts.settings import ROOT, UserError


def docker(*args: str, quiet: bool = False) -> None:
    """Run a docker command; its output is the user's, or nobody's when quiet. An error ends the script."""
    result = subprocess.run(["docker", *args], cwd=ROOT, capture_output=quiet, text=True)
    if result.returncode:
        raise UserError(f"docker {' '.join(args[:3])} ... failed\n{result.stderr or ''}".rstrip())


def docker_says(*args: str, both: bool = False) -> str:
    """The output of a docker command, empty when it fails; both: with what it wrote as errors."""
    errors = subprocess.STDOUT if both else subprocess.PIPE
    try:
        done = subprocess.run(["docker", *args], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def need_engine() -> None:
    """Fail with advice where no Docker engine answers, or not to us."""
    if shutil.which("docker") is None:
        raise UserError("docker is not installed. `make demo` needs none.")
    asked = ["docker", "version", "--format", "{{.Server.Version}}"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0 and done.stdout.strip():
        return
    where = os.environ.get("DOCKER_HOST") or "the engine's socket"
    if "permission denied" in done.stderr.lower():
        raise UserError(
            f"you may not use {where}: join the group docker (sudo usermod -aG docker $USER, then log in anew). For an "
            "engine of your own set DOCKER_HOST in the environment, and DOCKER_SOCKET in .env to its socket."
        )
    raise UserError(f"no Docker engine answers at {where}: is it started? `make demo` needs none.")


def image_exists(image: str) -> bool:
    """Whether the engine has the image."""
    return bool(docker_says("image", "inspect", "--format", "{{.Id}}", image))


def compose_command() -> list[str]:
    """`docker compose` where it is, else docker-compose."""
    if docker_says("compose", "version"):
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    raise UserError("neither `docker compose` nor docker-compose is installed")


def compose(env: Mapping[str, str], *args: str) -> None:
    """Run compose in the repository with these settings."""
    command = [*compose_command(), *args]
    if subprocess.run(command, cwd=ROOT, env=dict(env)).returncode:
        raise UserError(f"{' '.join(command)} failed (see above)")
