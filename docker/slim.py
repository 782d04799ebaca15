"""Delete what no job can use from the installed packages, and say how many megabytes that was.

The list is short on purpose: files for developers, and native libraries of services that no job talks to. Every entry
has its reason; tests/containers imports the job and runs it afterwards.
"""

import argparse
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

# pattern below site-packages -> why nobody misses it
EVERYWHERE: dict[str, str] = {
    "pyarrow/include": "C++ headers, to compile against Arrow",
    "pyarrow/src": "C++ sources",
    "pyarrow/includes": "Cython headers",
    "pyarrow/*.p[yx][xdi]": "Cython sources",
    "pyarrow/tests": "Arrow's own tests",
    "pyarrow/libarrow_python.so": "copy of libarrow_python.so.NNNN, only for linking",
    "pyarrow/libarrow_python.so.*.*.*": "another copy of the same",
    "pyarrow/libarrow_flight*": "Flight RPC: jobs read http and write databases",
    "pyarrow/_flight*": "binding of the same",
    "pyarrow/libarrow_s3*": "Amazon S3: pyarrow.fs imports without it",
    "pyarrow/_s3fs*": "binding of the same",
    "streamlit_folium/frontend/.env": "settings of its developers",
    "googleapiclient/discovery_cache/documents/[!r]*": "descriptions of Google's services but Cloud Run",
    "googleapiclient/discovery_cache/documents/r[!u]*": "more of them",
}
# The emulators answer gRPC; what we call, Cloud Storage and BigQuery, is called over HTTP.
CALLERS_ONLY: dict[str, str] = {
    "grpc": "Google's clients do without, and start faster",
    "grpc_status": "part of the same",
    "google/cloud/secretmanager*": "needs gRPC; GcpSecret blocks, which no job uses",
}
# The server serves these; a job never does.
JOBS_ONLY: dict[str, str] = {
    "prefect/server/ui": "the web pages of the Prefect server",
    "kubernetes": "KubernetesJob blocks; Prefect imports it when one is used",
    "apprise": "e-mail and chat notifications, which the server sends",
}
# Prefect looks for these at import, and takes a second longer when one is missing: a name stays, and says why.
STUB = 'raise ImportError("left out of this image, see docker/slim.py")\n'
STUBBED = ("kubernetes",)


def entries(job: str) -> dict[str, str]:
    """Patterns and reasons for the image of `job`."""
    if job == "emulators":
        return EVERYWHERE
    return EVERYWHERE | CALLERS_ONLY | ({} if job == "orchestration" else JOBS_ONLY)


def files_below(path: Path) -> Iterator[Path]:
    """The regular files at or below a path."""
    yield from (p for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file())


def main() -> None:
    """Delete, and print a line per pattern."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--job", required=True)
    parser.add_argument("--packages", type=Path, default=Path(sysconfig.get_path("purelib")))
    args = parser.parse_args()
    for pattern, reason in entries(args.job).items():
        size = 0
        for path in list(args.packages.glob(pattern)):
            size += sum(file.stat().st_size for file in files_below(path))
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if pattern in STUBBED and size:
            (args.packages / pattern).mkdir(exist_ok=True)
            (args.packages / pattern / "__init__.py").write_text(STUB)
        print(f"{size / 1e6:7.1f} MB  {pattern}: {reason}")


if __name__ == "__main__":
    main()
