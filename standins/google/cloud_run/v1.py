"""The first version of the API: Kubernetes-like resources below namespaces."""

from collections.abc import Callable

from standins.google.cloud_run.description import Call
from standins.google.cloud_run.errors import ApiError, invalid
from standins.google.cloud_run.execution import Execution
from standins.google.cloud_run.service import PROJECT_NUMBER, CloudRun, Job, Json
from standins.google.cloud_run.task import SecretFile, Task, amount, check

VERSION = "v1"
GROUP = "run.googleapis.com"
TASK = "spec.template.spec.template.spec"
COMPLETED = {"running": "Unknown", "succeeded": "True", "failed": "False", "cancelled": "False"}
REASONS = {"failed": "NonZeroExitCode", "cancelled": "Cancelled"}


def task_of(body: Json) -> Task:
    """What a job's body asks for. ApiError 400: Cloud Run would not run it."""
    try:
        spec = body["spec"]["template"]["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        image = container["image"]
    except (KeyError, ValueError) as error:
        raise invalid(f"{TASK}.containers", "must be one container with an image") from error
    at = f"{TASK}.containers[0]"
    limits = container.get("resources", {}).get("limits", {})
    env = container.get("env") or []
    refs = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in env if one.get("valueFrom")}
    mounts = {one["name"]: one["mountPath"] for one in container.get("volumeMounts") or []}
    task = Task(
        image=image,
        command=tuple(container.get("command") or ()),
        args=tuple(container.get("args") or ()),
        env={one["name"]: one.get("value") or "" for one in env if not one.get("valueFrom")},
        cpu=amount(limits.get("cpu", "1000m"), f"{at}.resources.limits.cpu"),
        memory=int(amount(limits.get("memory", "512Mi"), f"{at}.resources.limits.memory")),
        timeout=int(spec.get("timeoutSeconds") or 600),
        max_retries=int(spec.get("maxRetries", 3)),
        service_account=spec.get("serviceAccountName") or "",
        secret_env={name: (ref["name"], ref["key"]) for name, ref in refs.items()},
        files=tuple(
            SecretFile(f"{mounts[volume['name']]}/{item['path']}", volume["secret"]["secretName"], item["key"])
            for volume in spec.get("volumes") or []
            for item in volume["secret"]["items"]
        ),
    )
    check(task, TASK)
    return task


def job_json(job: Job) -> Json:
    """A job as the API shows it."""
    ready: Json = {"type": "Ready", "status": "True", "lastTransitionTime": job.created}
    if job.pending:
        ready |= {"status": "Unknown", "reason": "Reconciling", "message": "Waiting for the job to become ready."}
    elif job.problem:
        ready |= {"status": "False", "reason": job.problem[0], "message": job.problem[1]}
    status: Json = {"observedGeneration": 1, "conditions": [ready], "executionCount": job.count}
    if job.latest:
        status["latestCreatedExecution"] = {"name": job.latest.name, "creationTimestamp": job.latest.created}
        if job.latest.completed:
            status["latestCreatedExecution"]["completionTimestamp"] = job.latest.completed
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Job",
        "metadata": {**job.body.get("metadata", {}), **_metadata(job.name, job.uid, job.created, job.region)},
        "spec": job.body["spec"],
        "status": status,
    }


def execution_json(job: Job, found: Execution) -> Json:
    """An execution as the API shows it."""
    completed = {"type": "Completed", "status": COMPLETED[found.state], "lastTransitionTime": found.completed}
    completed |= {"message": found.message or "Waiting for execution to complete."}
    if found.state in REASONS:
        completed["reason"] = REASONS[found.state]
    status: Json = {
        "observedGeneration": 1,
        "conditions": [completed, {"type": "Started", "status": "True", "lastTransitionTime": found.created}],
        "startTime": found.created,
        f"{found.state}Count": 1,
        "retriedCount": found.retried,
        "logUri": f"https://console.cloud.google.com/logs/viewer?project={PROJECT_NUMBER}&execution={found.name}",
    }
    if found.completed:
        status["completionTime"] = found.completed
    metadata = _metadata(found.name, found.uid, found.created, job.region)
    metadata["labels"][f"{GROUP}/job"] = job.name
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Execution",
        "metadata": metadata,
        "spec": {"taskCount": 1, "parallelism": 1, **job.body["spec"]["template"]["spec"]},
        "status": status,
    }


def _metadata(name: str, uid: str, created: str, region: str) -> Json:
    return {
        "name": name,
        "namespace": PROJECT_NUMBER,
        "uid": uid,
        "generation": 1,
        "creationTimestamp": created,
        "labels": {"cloud.googleapis.com/location": region},
    }


def create(run: CloudRun, call: Call, region: str) -> Json:
    body = call.body
    if (body.get("apiVersion"), body.get("kind")) != (f"{GROUP}/v1", "Job"):
        raise ApiError(400, f"apiVersion and kind must be {GROUP}/v1 and Job")
    return job_json(run.create(VERSION, region, body.get("metadata", {}).get("name", ""), body, task_of(body)))


def get(run: CloudRun, call: Call, region: str) -> Json:
    job = run.job(VERSION, region, call.names[1])
    job.looks += 1
    return job_json(job)


def list_jobs(run: CloudRun, call: Call, region: str) -> Json:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "JobList",
        "items": [job_json(job) for job in run.listed(VERSION, region)],
    }


def delete(run: CloudRun, call: Call, region: str) -> Json:
    run.delete(run.job(VERSION, region, call.names[1]))
    return {"status": "Success"}


def run_job(run: CloudRun, call: Call, region: str) -> Json:
    job = run.job(VERSION, region, call.names[1])
    return execution_json(job, run.run(job))


def get_execution(run: CloudRun, call: Call, region: str) -> Json:
    return execution_json(*run.execution(VERSION, region, call.names[1]))


def list_executions(run: CloudRun, call: Call, region: str) -> Json:
    wanted = call.query.get("labelSelector", "").removeprefix(f"{GROUP}/job=")
    jobs = [job for job in run.listed(VERSION, region) if wanted in ("", job.name)]
    items = [execution_json(job, one) for job in jobs for one in job.executions.values()]
    return {"apiVersion": f"{GROUP}/v1", "kind": "ExecutionList", "items": items}


def cancel(run: CloudRun, call: Call, region: str) -> Json:
    job, found = run.execution(VERSION, region, call.names[1])
    run.cancel(found)
    return execution_json(job, found)


def delete_execution(run: CloudRun, call: Call, region: str) -> Json:
    run.delete_execution(*run.execution(VERSION, region, call.names[1]))
    return {"status": "Success"}


METHODS: dict[str, Callable[[CloudRun, Call, str], Json]] = {
    "run.namespaces.jobs.create": create,
    "run.namespaces.jobs.get": get,
    "run.namespaces.jobs.list": list_jobs,
    "run.namespaces.jobs.delete": delete,
    "run.namespaces.jobs.run": run_job,
    "run.namespaces.executions.get": get_execution,
    "run.namespaces.executions.list": list_executions,
    "run.namespaces.executions.cancel": cancel,
    "run.namespaces.executions.delete": delete_execution,
}
