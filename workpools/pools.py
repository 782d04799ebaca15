"""The work pools that jobs can be deployed to, by name. Each module says how a job is run there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from prefect.infrastructure.base import Infrastructure

from workpools import cloud_run, cloud_run_v2, docker, process
from workpools.job import JobDeployment


class Pool(Protocol):
    """What a module of a work pool has; the pool is named after its type.

    TEMPLATE: the file with its base job template, under git. FLOWS: where a run finds the code. ENVIRONMENT: what is
    meant when none is named. NEEDS: settings that must not be empty.
    """

    TYPE: str
    TEMPLATE: Path
    FLOWS: str
    ENVIRONMENT: str
    NEEDS: tuple[str, ...]

    def template(self) -> dict[str, Any]:
        """The base job template, made from the block."""

    def job_block(self, job: JobDeployment, image: str, env: Mapping[str, str]) -> Infrastructure:
        """The block of one deployment. ValueError: the pool cannot run such a job."""

    def job_variables(self, job: JobDeployment, image: str, env: Mapping[str, str]) -> dict[str, Any]:
        """What the worker reads of that block, under the worker's names."""


POOLS: dict[str, Pool] = {pool.TYPE: pool for pool in (docker, cloud_run, cloud_run_v2, process)}
