"""An image whose container is no engine but waits, and where it can be run: for tests that lose runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from docker import DockerClient

BASE = "longshore/base:bookworm-python3.11"
DOCKERFILE = f"""FROM {BASE}
RUN ln -sf "$(command -v python3.11)" /usr/local/bin/python && mkdir -p /code/longshore
COPY lost_engine.py /code/longshore/flows/engine.py
ENV PYTHONPATH=/code PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""
BEGUN = "the stand-in of an engine has begun"  # what it says


def new_image() -> str:
    """A name that nobody has."""
    return f"longshore/lost-{uuid4().hex[:8]}:test"


@contextmanager
def image(name: str, folder: Path) -> Iterator[DockerClient]:
    """The engine, with the image on it; nothing is left of either its containers or itself."""
    client = DockerClient.from_env()
    if not client.images.list(BASE):
        pytest.skip(f"there is no image {BASE}")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "lost_engine.py").write_bytes(Path(__file__).with_name("lost_engine.py").read_bytes())
    client.images.build(path=str(folder), tag=name, rm=True)
    try:
        yield client
    finally:
        for container in client.containers.list(all=True, filters={"ancestor": name}):
            container.remove(force=True, v=True)
        client.images.remove(name, force=True)
        client.close()
