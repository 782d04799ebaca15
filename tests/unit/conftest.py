"""What several of these tests need."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture
def folder_of_another() -> Iterator[Path]:
    """A folder that we may enter and not write, with a file that we may not read; root is nobody meanwhile."""
    with TemporaryDirectory(dir="/tmp") as made:
        folder = Path(made)
        (folder / "theirs").write_text("NETWORK=theirs")
        (folder / "theirs").chmod(0o000)
        folder.chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o755)
