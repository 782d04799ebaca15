"""What no image needs of the packages that it holds: `layers.py` leaves it out.

The list is short on purpose: files for developers, and native libraries of services that no job talks to. Every entry
has its reason; tests/containers imports the job and runs it afterwards.
"""

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
STUB = Path(__file__).with_name("stub.py")
STUBBED = ("kubernetes",)


def entries(job: str) -> dict[str, str]:
    """Patterns and reasons for the image of `job`."""
    if job == "emulators":
        return EVERYWHERE
    return EVERYWHERE | CALLERS_ONLY | ({} if job == "orchestration" else JOBS_ONLY)


def left_out(image: str, packages: Path) -> set[Path]:
    """The files below site-packages that an image does without."""
    hits = [hit for pattern in entries(image) for hit in packages.glob(pattern)]
    return {path for hit in hits for path in ([hit] if hit.is_file() else hit.rglob("*"))}


def stubs(image: str, packages: Path) -> dict[Path, Path]:
    """Modules that are left out and keep their name: where they would be -> the file that says why."""
    return {packages / name / "__init__.py": STUB for name in STUBBED if name in entries(image)}
