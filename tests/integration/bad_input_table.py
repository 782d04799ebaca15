"""The messages that bad input gave in this session; WRITE_BAD_INPUT=1 makes docs/bad-input.md of them."""

import os
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "bad-input.md"
HEAD = """# Bad input, and what is said of it

Each line was caused by a test in tests/integration/test_bad_input.py, which also compares table and ledger with
what they were before: nothing changes. The run fails, and the exit code of `python -m jobs.web_to_postgres` is 1.
This page is written by `WRITE_BAD_INPUT=1 .venv/bin/python -m pytest tests/integration/test_bad_input.py`.

| what | message |
|---|---|
"""
_noted: list[tuple[str, str]] = []


def noted(message: str) -> str:
    """Keep the message under the running test's name."""
    test = os.environ["PYTEST_CURRENT_TEST"].split("::")[-1].removesuffix(" (call)")
    name, _, parameters = test.partition("[")
    _noted.append((parameters[:-1] or name.removeprefix("test_").replace("_", " "), message))
    return message


def write() -> None:
    if not os.environ.get("WRITE_BAD_INPUT"):
        return
    seen: dict[str, str] = {}
    for what, message in _noted:
        message = re.sub(r"http://127\.0\.0\.1:(?!9/)\d+", "http://site", message)
        message = re.sub(r"Postgres /\S+:5432/test_\d+", "Postgres localhost:5432/warehouse", message)
        seen.setdefault(what, message.replace("|", r"\|").replace("\n", " "))
    PAGE.write_text(HEAD + "".join(f"| {what} | {message} |\n" for what, message in seen.items()))
