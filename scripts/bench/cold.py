"""The cold start of the job's container, where there is a Docker engine to measure it."""

from __future__ import annotations

import importlib


def cold_start() -> float | str:
    """Seconds from the container's creation to the flow's first line, or why there is no figure."""
    try:
        module = importlib.import_module("scripts.bench.cold_start")
        return float(module.cold_start())
    except (Exception, SystemExit) as error:  # no engine, no image: the rest of the table still counts
        return f"not measured: {' '.join(str(error).split())}"
