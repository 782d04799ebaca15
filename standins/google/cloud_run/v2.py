"""The second version of the API: resources below projects and locations, changed by long-running operations."""

import re
from collections.abc import Callable
from uuid import uuid4

from standins.google.cloud_run.description import Call
from standins.google.cloud_run.errors import invalid, not_found
from standins.google.cloud_run.execution import Execution
from standins.google.cloud_run.service import PROJECT_NUMBER, CloudRun, Job, Json
from standins.google.cloud_run.task import SecretFile, Task, amount, check

VERSION = "v2"
TASK = "job.template.template"
TYPE = "type.googleapis.com/google.cloud.run.v2"
STATES = {"running": "RECONCILING", "succeeded": "SUCCEEDED", "failed": "FAILED", "cancelled": "FAILED"}
REASONS = {"failed": "NON_ZERO_EXIT_CODE", "cancelled": "CANCELLED"}


def task_of(body: Json) -> Task:
    """What a job's body asks for. ApiError 400: Cloud Run would not run it."""
    try:
        spec = body["template"]["template"]
        (container,) = spec["containers"]
        image = container["image"]
    except (KeyError, ValueError) as error:
        raise invalid(f"{TASK}.containers", "must be one container with an image") from error
    at = f"{TASK}.containers[0]"
    limits = container.get("resources", {}).get("limits", {})
    env = container.get("env") or []
    refs = {one["name"]: one["valueSource"]["secretKeyRef"] for one in env if one.get("valueSource")}
    mounts = {one["name"]: one["mountPath"] for one in container.get("volumeMounts") or []}
    timeout = spec.get("timeout") or "600s"
    if not re.fullmatch(r"\d+(\.\d+)?s", timeout):
        raise invalid(f"{TASK}.timeout", f"{timeout!r} is not a duration such as 600s")
    task = Task(
        image=image,
        command=tuple(container.get("command") or ()),
        args=tuple(container.get("args") or ()),
        env={one["name"]: one.get("value") or "" for one in env if not one.get("valueSource")},
        cpu=amount(limits.get("cpu", "1000m"), f"{at}.resources.limits.cpu"),
        memory=int(amount(limits.get("memory", "512Mi"), f"{at}.resources.limits.memory")),
        timeout=float(timeout[:-1]),
        max_retries=int(spec.get("maxRetries", 3)),
        service_account=spec.get("serviceAccount") or "",
        secret_env={name: (_last(ref["secret"]), ref.get("version", "latest")) for name, ref in refs.items()},
        files=tuple(
            SecretFile(f"{mounts[one['name']]}/{item['path']}", _last(one["secret"]["secret"]), item.get("version", ""))
            for one in spec.get("volumes") or []
            for item in one["secret"]["items"]
        ),
    )
    check(task, TASK)
    return task


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _path(run: CloudRun, job: Job) -> str:
    return f"projects/{run.project}/locations/{job.region}/jobs/{job.name}"


def _upper(reason: str) -> str:
    """ContainerMissing -> CONTAINER_MISSING."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", reason).upper()


def job_json(run: CloudRun, job: Job) -> Json:
    """A job as the API shows it."""
    ready: Json = {"type": "Ready", "state": "CONDITION_SUCCEEDED", "lastTransitionTime": job.created}
    if job.pending:
        ready |= {"state": "CONDITION_RECONCILING", "message": "Waiting for the job to become ready."}
    elif job.problem:
        ready |= {"state": "CONDITION_FAILED", "reason": _upper(job.problem[0]), "message": job.problem[1]}
    latest: Json = {}
    if job.latest:
        latest = {"name": job.latest.name, "createTime": job.latest.created}
        latest |= {"completionTime": job.latest.completed} if job.latest.completed else {}
    return {
        **job.body,
        "name": _path(run, job),
        "uid": job.uid,
        "generation": "1",
        "createTime": job.created,
        "updateTime": job.created,
        "launchStage": job.body.get("launchStage", "GA"),
        "observedGeneration": "1",
        "terminalCondition": ready,
        "executionCount": job.count,
        "latestCreatedExecution": latest,
        "reconciling": job.pending,
        "etag": f'"{job.uid}"',
    }


def execution_json(run: CloudRun, job: Job, found: Execution) -> Json:
    """An execution as the API shows it."""
    completed = {"type": "Completed", "state": f"CONDITION_{STATES[found.state]}"}
    completed |= {"message": found.message or "Waiting for execution to complete."}
    if found.state in REASONS:
        completed["executionReason"] = REASONS[found.state]
    return {
        "name": f"{_path(run, job)}/executions/{found.name}",
        "uid": found.uid,
        "generation": "1",
        "createTime": found.created,
        "startTime": found.created,
        "job": job.name,
        "parallelism": 1,
        "taskCount": 1,
        "template": job.body["template"]["template"],
        "reconciling": not found.completed,
        "conditions": [completed, {"type": "Started", "state": "CONDITION_SUCCEEDED"}],
        "observedGeneration": "1",
        f"{found.state}Count": 1,
        "retriedCount": found.retried,
        "logUri": f"https://console.cloud.google.com/logs/viewer?project={PROJECT_NUMBER}&execution={found.name}",
        "etag": f'"{found.uid}"',
        **({"completionTime": found.completed} if found.completed else {}),
    }


def operation(run: CloudRun, region: str, kind: str, what: Callable[[], Json], done: Callable[[], bool]) -> Json:
    """A long-running operation about a resource. done: whether it is over."""
    name = f"projects/{run.project}/locations/{region}/operations/{uuid4()}"

    def now() -> Json:
        resource = {"@type": f"{TYPE}.{kind}", **what()}
        said = {"name": name, "metadata": resource, "done": done()}
        return said | ({"response": resource} if said["done"] else {})

    run.operations[name] = now
    return now()


def create(run: CloudRun, call: Call, region: str) -> Json:
    job = run.create(VERSION, region, call.query.get("jobId", ""), call.body, task_of(call.body))
    return operation(run, region, "Job", lambda: job_json(run, job), lambda: not job.pending)


def get(run: CloudRun, call: Call, region: str) -> Json:
    job = run.job(VERSION, region, call.names[2])
    job.looks += 1
    return job_json(run, job)


def list_jobs(run: CloudRun, call: Call, region: str) -> Json:
    return {"jobs": [job_json(run, job) for job in run.listed(VERSION, region)]}


def delete(run: CloudRun, call: Call, region: str) -> Json:
    job = run.job(VERSION, region, call.names[2])
    run.delete(job)
    return operation(run, region, "Job", lambda: job_json(run, job), lambda: True)


def run_job(run: CloudRun, call: Call, region: str) -> Json:
    job = run.job(VERSION, region, call.names[2])
    found = run.run(job)
    return operation(run, region, "Execution", lambda: execution_json(run, job, found), lambda: bool(found.completed))


def get_execution(run: CloudRun, call: Call, region: str) -> Json:
    return execution_json(run, *run.execution(VERSION, region, call.names[3]))


def list_executions(run: CloudRun, call: Call, region: str) -> Json:
    job = run.job(VERSION, region, call.names[2])
    return {"executions": [execution_json(run, job, one) for one in reversed(job.executions.values())]}


def cancel(run: CloudRun, call: Call, region: str) -> Json:
    job, found = run.execution(VERSION, region, call.names[3])
    run.cancel(found)
    return operation(run, region, "Execution", lambda: execution_json(run, job, found), lambda: bool(found.completed))


def delete_execution(run: CloudRun, call: Call, region: str) -> Json:
    job, found = run.execution(VERSION, region, call.names[3])
    run.delete_execution(job, found)
    return operation(run, region, "Execution", lambda: execution_json(run, job, found), lambda: bool(found.completed))


def get_operation(run: CloudRun, call: Call, region: str) -> Json:
    name = "projects/{}/locations/{}/operations/{}".format(*call.names)
    if name not in run.operations:
        raise not_found("OPERATION", call.names[2], region, run.project)
    return run.operations[name]()


METHODS: dict[str, Callable[[CloudRun, Call, str], Json]] = {
    "run.projects.locations.jobs.create": create,
    "run.projects.locations.jobs.get": get,
    "run.projects.locations.jobs.list": list_jobs,
    "run.projects.locations.jobs.delete": delete,
    "run.projects.locations.jobs.run": run_job,
    "run.projects.locations.jobs.executions.get": get_execution,
    "run.projects.locations.jobs.executions.list": list_executions,
    "run.projects.locations.jobs.executions.cancel": cancel,
    "run.projects.locations.jobs.executions.delete": delete_execution,
    "run.projects.locations.operations.get": get_operation,
}
