"""Copy the code that one image may hold, byte-compiled: a job gets its folder and what all jobs stand on."""

import argparse
import compileall
import importlib
import py_compile
import shutil
import sys
from pathlib import Path

PARTS: dict[str, tuple[str, ...]] = {
    "orchestration": ("control", "environments", "jobs", "longshore", "workpools", "scripts"),
    "emulators": (
        *("standins/__init__.py", "standins/google"),
        *("scripts/__init__.py", "scripts/gcp_key.py", "scripts/settings.py"),
    ),
    "dashboards": (
        "dashboards",
        *("jobs/__init__.py", "jobs/late_buses/__init__.py", "jobs/late_buses/columns.py"),
        *("jobs/late_buses/gtfs_time.py", "jobs/late_buses/late_csv.py"),
        *("longshore/__init__.py", "longshore/errors.py", "longshore/schemas.py"),
        *("longshore/backoff.py", "longshore/formats", "longshore/rows"),
    ),
    "sources": (
        *("longshore/__init__.py", "longshore/datasets", "longshore/rows", "longshore/backoff.py"),
        *("longshore/errors.py", "longshore/schemas.py"),
        *("standins/__init__.py", "standins/buses", "standins/taxi", "standins/web"),
    ),
}
# deployment.py says how a job is started: nothing that the job itself needs, so a new schedule is no new image.
LEFT_OUT = ("__pycache__", "*.pyc")


def parts_of(job: str, source: Path) -> tuple[str, ...]:
    """Paths, relative to the repository, that the image of `job` holds."""
    if job in PARTS:
        return PARTS[job]
    folders = (f"jobs/{name.replace('-', '_')}" for name in (job, *runs(job, source)))
    return ("jobs/__init__.py", "longshore", *folders)


def runs(job: str, source: Path) -> list[str]:
    """The jobs whose flows `job` calls in its own container, as its deployments say."""
    name = f"jobs.{job.replace('-', '_')}.deployment"
    if not (source / name.replace(".", "/")).with_suffix(".py").exists():
        raise SystemExit(f"there is no job {job!r}")
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(source))
    return [run for deployment in importlib.import_module(name).DEPLOYMENTS for run in deployment.runs]


def select(job: str, source: Path, target: Path, flows: Path | None = None) -> None:
    """Copy the parts of `job` and compile them; the byte code never looks at the source's date again.

    flows: another target, for the folders of jobs: what changes most is a layer of its own, and small.
    """
    left_out = LEFT_OUT if job == "orchestration" else (*LEFT_OUT, "deployment.py")
    for part in parts_of(job, source):
        origin, copy = source / part, target / part
        copy.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, copy, ignore=shutil.ignore_patterns(*left_out))
        elif origin.exists():
            shutil.copy(origin, copy)
        else:
            raise SystemExit(f"{part}: not there")
    if flows:
        (flows / "jobs").mkdir(parents=True)
        for folder in target.glob("jobs/*"):
            if folder.is_dir():
                shutil.move(folder, flows / "jobs")
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for root in (target, flows) if flows else (target,):
        compileall.compile_dir(root, stripdir=str(root), quiet=1, invalidation_mode=mode)


def main() -> None:
    """Parse the command line and copy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", required=True)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--flows", type=Path, help="where the folders of jobs go (default: target)")
    args = parser.parse_args()
    select(args.job, args.source, args.target, args.flows)


if __name__ == "__main__":
    main()
