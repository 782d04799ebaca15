"""The messages that bad input gave in this session; WRITE_BAD_INPUT=1 makes docs/bad-input.md of them."""

import os
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "bad-input.md"
TESTS = {
    "test_bad_input.py": "Into Postgres",
    "test_lake.py": "Into a bucket",
    "test_bigquery_bad_input.py": "Into BigQuery",
    "test_bus_bad_input.py": "Late buses",
}
FILES = " ".join(f"tests/integration/{name}" for name in TESTS)
HEAD = f"""# Bad input, and what is said of it

Each line was caused by a test, which also compares table and ledger, or the bucket, with what they were before: nothing
changes. The run fails, and the exit code of `python -m jobs.NAME` is 1 (2 for what cannot be, told before anything is
opened); where it says "no error", the run goes on and counts. This page is written by
`WRITE_BAD_INPUT=1 .venv/bin/python -m pytest {FILES}`.
"""
_noted: list[tuple[str, str, str]] = []


def noted(message: str) -> str:
    """Keep the message under the running test's name."""
    path, _, test = os.environ["PYTEST_CURRENT_TEST"].removesuffix(" (call)").partition("::")
    name, _, parameters = test.partition("[")
    _noted.append((Path(path).name, parameters[:-1] or name.removeprefix("test_").replace("_", " "), message))
    return message


def write() -> None:
    if not os.environ.get("WRITE_BAD_INPUT"):
        return
    PAGE.write_text(HEAD + "".join(section(test, title) for test, title in TESTS.items()))


def section(test: str, title: str) -> str:
    """The messages of one file of tests; the first where a test had several."""
    seen: dict[str, str] = {}
    for path, what, message in _noted:
        if path == test:
            message = re.sub(r"http://127\.0\.0\.1:(?!9/)\d+", "http://site", message)
            message = re.sub(r"Postgres /\S+:5432/test_\d+", "Postgres localhost:5432/warehouse", message)
            message = re.sub(r"\bbucket-\d+", "BUCKET", message)
            message = re.sub(r"\bdataset_\d+", "dezoomcamp", message)
            message = re.sub(r"/\S+/\.cloudstorage/", "gs://", message)  # the emulator's folder
            message = re.sub(r"Job ID: [\w-]+", "Job ID: …", message)
            message = "".join(letter if letter.isprintable() else " " for letter in message)
            seen.setdefault(what, message.replace("|", r"\|"))
    lines = "".join(f"| {what} | {message} |\n" for what, message in seen.items())
    return f"\n## {title}\n| what | message |\n|---|---|\n{lines}"
