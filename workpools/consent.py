"""What a worker looks at before it starts a run's container, and what it gives to it: the token of the run.

A mixin for the docker worker. NETWORK, IMAGE_PREFIX, REGISTRY, JOB_CA_FILE say what is ours, PREFECT_TOKEN_KEY signs:
without it (with Prefect Cloud) a job gets the key of the worker, as Prefect has it.
"""

import copy
import os
import time
from typing import Any

from prefect.client.schemas.objects import FlowRun

from control import labels
from control.policy import Policy
from control.tokens import Claims, sign
from workpools.refuse import Refused, refusals

Base: Any = object  # a subclass of BaseWorker would be registered as a type of worker
SPARE_SECONDS = 1800  # beyond a run's time limit: a wait for the server, and its last words


class Consenting(Base):  # type: ignore[misc]
    """A worker that refuses what is not its deployment's, and gives each run a token of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refused: dict[str, list[str]] = {}  # what is wrong with a run

    async def _get_configuration(self, flow_run: FlowRun) -> Any:
        asked = copy.deepcopy(flow_run.job_variables or {})  # Prefect takes `env` out of it
        configuration = await super()._get_configuration(flow_run)
        deployment = configuration._related_objects["deployment"].job_variables or {}
        # Not raised here: a run that is cancelled comes this way too.
        if wrong := refusals(Policy.from_env(os.environ), deployment, asked, configuration):
            self._refused[str(flow_run.id)] = wrong
        return configuration

    async def run(self, flow_run: FlowRun, configuration: Any, task_status: Any = None) -> Any:
        if wrong := self._refused.pop(str(flow_run.id), []):
            said = f"Refused: {'; '.join(wrong)}"
            self._ends[str(flow_run.id)] = said, False
            raise Refused(said)
        if key := os.environ.get("PREFECT_TOKEN_KEY"):
            configuration.env["PREFECT_API_KEY"] = sign(key, claims(flow_run, configuration.labels))
        return await super().run(flow_run, configuration, task_status)


def claims(flow_run: FlowRun, said: dict[str, str]) -> Claims:
    """What a run may, by the labels of its deployment."""
    limit = int(said.get(labels.TIMEOUT) or 0)
    return Claims(
        run=str(flow_run.id),
        deployment=str(flow_run.deployment_id or ""),
        blocks=tuple(said.get(labels.BLOCKS, "").split()),
        starts=tuple(said.get(labels.STARTS, "").split()),
        expires=int(time.time()) + limit + SPARE_SECONDS,
    )
