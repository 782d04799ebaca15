"""Prefect's API as chaos needs it: it may be away at any moment, since that is one of the faults."""

import time
from typing import Any

import httpx

FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
AWAY_SECONDS = 300


class Prefect:
    """Prefect's API, asked again while it is away."""

    def __init__(self, url: str, key: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/", headers={"Authorization": f"Bearer {key}"}, timeout=30)

    def ask(self, path: str, body: object = None) -> Any:
        """A GET, or with a body a POST. Only what may be sent twice is asked here."""
        deadline = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                answer = self._client.get(path) if body is None else self._client.post(path, json=body)
                if answer.status_code < 500:
                    answer.raise_for_status()
                    return answer.json() if answer.content else None
                error: Exception = RuntimeError(f"HTTP {answer.status_code}")
            except httpx.TransportError as broken:
                error = broken
            if time.monotonic() > deadline:
                raise error
            time.sleep(1)

    def start(self, deployment: str, parameters: dict[str, Any], key: str) -> str:
        """Start a run; with the same key it is the same run. Its id."""
        found = self.ask(f"deployments/name/{deployment}")
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}, "idempotency_key": key}
        return str(self.ask(f"deployments/{found['id']}/create_flow_run", body)["id"])

    def states(self, runs: list[str]) -> dict[str, dict[str, Any]]:
        """Each run's state by its id."""
        found = self.ask("flow_runs/filter", {"flow_runs": {"id": {"any_": runs}}})
        return {one["id"]: one["state"] for one in found}

    def history(self, run: str) -> list[str]:
        """The names of the states that a run has gone through."""
        return [one["name"] for one in self.ask(f"flow_run_states/?flow_run_id={run}")]

    def unfinished(self, kind: str, since: str) -> int:
        """How many runs of a kind (flow_runs, task_runs) that began since then have not ended, scheduled ones aside."""
        begun = {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}
        return int(self.ask(f"{kind}/count", {kind: {"state": begun, "start_time": {"after_": since}}}))
