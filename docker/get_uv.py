"""Fetch uv's binary as uv.lock pins it: version, address and checksum. Needs no pip in the base image."""

import argparse
import hashlib
import io
import platform
import tomllib
import urllib.request
import zipfile
from pathlib import Path
from typing import Any


def pick_wheel(lock: dict[str, Any], machine: str) -> dict[str, Any]:
    """The lock's uv wheel for glibc Linux on `machine` (x86_64, aarch64)."""
    uv = next(package for package in lock["package"] if package["name"] == "uv")
    for wheel in uv["wheels"]:
        name = wheel["url"].rsplit("/", 1)[-1]
        if "manylinux" in name and name.endswith(f"{machine}.whl"):
            return dict(wheel)
    raise SystemExit(f"uv.lock has no uv wheel for {machine}")


def main() -> None:
    """Write the binary to a path and make it executable."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lock", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args()
    wheel = pick_wheel(tomllib.loads(args.lock.read_text()), platform.machine())
    with urllib.request.urlopen(wheel["url"], timeout=120) as response:  # noqa: S310 - the address is in the lock
        data: bytes = response.read()
    found = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if found != wheel["hash"]:
        raise SystemExit(f"{wheel['url']}: expected {wheel['hash']}, got {found}")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        member = next(name for name in archive.namelist() if name.endswith("/scripts/uv"))
        args.target.write_bytes(archive.read(member))
    args.target.chmod(0o755)


if __name__ == "__main__":
    main()
