"""The local stack, by docker compose: Postgres, Prefect, a worker, and what stands in for Google Cloud."""

import argparse
import json
import sys
import time
from typing import Any

from scripts.base_images import base
from scripts.docker import compose, docker_says, need_engine
from scripts.gcp_key import read_key
from scripts.images import SERVED, build_missing, jobs
from scripts.settings import UserError, make_env, settings

PROFILES = {"emulators": ("gcs", "bigquery"), "demo": ("sources", "buses"), "cloud-worker": ("cloud-worker",)}
STAND_INS = {
    "TAXI_URL": "http://sources:8000/nyc-tlc-data/releases/download",
    "BUS_FEED_URL": "http://buses:8001/api/v1/gtfsrtdatafeed/",
    "BUS_TIMETABLE_URL": "http://buses:8001/timetable/download/gtfs-file/yorkshire/",
    "BODS_API_KEY": "demo",  # never the real one
}


def stack_settings(source: str) -> dict[str, str]:
    """Settings for compose; with the demo's source the jobs read from the stand-ins of the websites."""
    found = settings()
    if source == "demo":
        found |= {"COMPOSE_PROFILES": f"{found['COMPOSE_PROFILES']},demo".strip(","), **STAND_INS}
    elif source != "live":
        raise UserError(f"SOURCE={source}: there are demo (stand-in websites, made here) and live (the real ones)")
    return found


def up(source: str, seconds: float = 300) -> None:
    """Write .env if there is none, build, start, and wait until the worker takes runs."""
    need_engine()
    stack_settings(source)
    if make_env():
        print("wrote .env with generated passwords")
    env = stack_settings(source)
    read_key(env["GCP_KEY_FILE"])  # a wrong one is better known now
    base(env)
    build_missing([*jobs(), *SERVED], env)
    compose(env, "up", "--detach", "--no-build", "--remove-orphans")
    wait_healthy(env, seconds)
    here = "http://127.0.0.1"
    cloud = f"storage {here}:{env['GCS_PORT']}, BigQuery {here}:{env['BIGQUERY_PORT']} (emulators)"
    print(
        f"\nPrefect   {here}:{env['PREFECT_PORT']}"
        f"\nmap       {here}:{env['MAP_PORT']} (late buses{'' if env['BODS_API_KEY'] else ': BODS_API_KEY is not set'})"
        f"\nwarehouse docker exec -it {container(env, 'postgres')[:12]} psql -U postgres {env['WAREHOUSE_DB']}"
        f"\ncloud     {cloud if 'gcs' in served(env) else 'Google Cloud'}"
        f'\nnext      make run JOB=web-to-postgres PARAMS=\'{{"year": 2021, "months": [1]}}\''
    )


def container(env: dict[str, str], service: str) -> str:
    """Id of a service's container, empty when there is none."""
    labels = {"project": env["COMPOSE_PROJECT_NAME"], "service": service}
    filters = [
        part for key, value in labels.items() for part in ("--filter", f"label=com.docker.compose.{key}={value}")
    ]
    return docker_says("ps", "--all", "--quiet", "--no-trunc", *filters).split("\n")[0]


def served(env: dict[str, str]) -> list[str]:
    """The services that come last and stay."""
    profiles = env["COMPOSE_PROFILES"].split(",")
    return ["prefect", "worker", "map", *(service for profile in profiles for service in PROFILES.get(profile, ()))]


def wait_healthy(env: dict[str, str], seconds: float) -> None:
    """Wait for the services that come last; compose 1.29 can't."""
    deadline = time.monotonic() + seconds
    for service in served(env):
        while True:
            found = container(env, service)
            state: dict[str, Any] = json.loads(docker_says("inspect", found))[0]["State"] if found else {}
            if state.get("Health", {}).get("Status") == "healthy":
                break
            status = state.get("Status", "missing")
            if status in ("exited", "dead", "missing", "restarting") or time.monotonic() > deadline:
                raise UserError(f"{service} is {status} and not healthy; see: make logs")
            time.sleep(0.5)


def everything() -> dict[str, str]:
    """Settings with which compose sees every service. It insists on passwords even to stop: any value will do."""
    env = stack_settings("demo") | {"COMPOSE_PROFILES": ",".join(PROFILES)}
    return env | {name: env.get(name) or "none" for name in env if name.endswith("_PASSWORD")}


def take_down(env: dict[str, str], *more: str) -> None:
    """The worker first, so that it starts nothing new; then the jobs, which hold the network and note their own end."""
    compose(env, "stop", "worker")
    of_a_job = ("--filter", "label=io.prefect.flow-run-id", "--filter", f"network={env['NETWORK']}")
    if running := docker_says("ps", "--quiet", *of_a_job).split():
        print(f"stopping {len(running)} run(s)")
        docker_says("stop", *running)
        docker_says("rm", *running)  # as the worker would have
    compose(env, "down", *more, "--remove-orphans")


def clean(yes: bool) -> None:
    """Take the stack down and delete its data, after asking."""
    env = everything() | {"TAG": "any"}
    project = env["COMPOSE_PROJECT_NAME"]
    print(
        f"This deletes, for good: the containers and the network of project {project}, and its volumes"
        f"\n{project}_postgres with both databases (Prefect's records, the warehouse) and {project}_cloud with what"
        "\nis in the emulators of Google Cloud. .env and the images stay."
    )
    if not yes and input("Type yes to go on: ").strip() != "yes":
        raise UserError("nothing deleted")
    take_down(env, "--volumes")


def down() -> None:
    """Stop and remove the containers, runs as well; the data stay in the volumes."""
    take_down(everything())


def logs() -> None:
    """Follow what the services print."""
    compose(everything(), "logs", "--follow", "--tail", "100")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m scripts.stack", description=__doc__)
    parser.add_argument("action", choices=["up", "down", "clean", "logs"])
    parser.add_argument("--source", default="live", help="demo or live (%(default)s)")
    parser.add_argument("--yes", action="store_true", help="clean without asking")
    args = parser.parse_args()
    try:
        if args.action == "up":
            up(args.source)
        elif args.action == "clean":
            clean(args.yes)
        else:
            {"down": down, "logs": logs}[args.action]()
    except UserError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
