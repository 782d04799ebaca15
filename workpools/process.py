"""How a job is run as a process of the worker's machine: no container, no limits; for a look without Docker."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.infrastructure.process import Process
from prefect.utilities.processutils import get_sys_executable

from control.policy import COMMAND
from workpools.job import JobDeployment

TYPE = "process"
TEMPLATE = Path(__file__).with_name("process.json")
FLOWS = str(Path(__file__).resolve().parent.parent)
ENVIRONMENT = "process"
NEEDS = ()


def job_block(job: JobDeployment, image: str, env: Mapping[str, str]) -> Process:
    """The process of one deployment. There is no image: it runs the code of this checkout, as it is."""
    return Process(env={"PYTHONPATH": FLOWS, **job.chosen(env)}, working_dir=FLOWS)


def template() -> dict[str, Any]:
    """The pool's base job template."""
    made: dict[str, Any] = asyncio.run(Process().generate_work_pool_base_job_template())  # type: ignore[no-untyped-call]
    return made


def job_variables(job: JobDeployment, image: str, env: Mapping[str, str]) -> dict[str, Any]:
    """A deployment's job variables. The Python is this one, of this checkout: the machine's may have any name."""
    made = job_block(job, image, env)
    return {
        "command": " ".join([get_sys_executable(), *COMMAND[1:]]),
        "env": made.env,
        "working_dir": str(made.working_dir),
        "stream_output": made.stream_output,
    }
