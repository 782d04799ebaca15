"""The local stack, by docker compose: Postgres, Prefect, a worker, and what stands in for Google Cloud."""

import argparse
import sys
import time
from collections.abc import Iterable

from scripts.base_images import base
from scripts.databases import check_passwords, have_reader
from scripts.docker import compose, image_exists, need_engine
from scripts.gcp_key import read_key
from scripts.images import SERVED, build_missing, image_name, jobs
from scripts.move_records import OLD, move_records, to_be_moved
from scripts.services import services, volumes
from scripts.settings import PASSWORDS, UserError, fill_env, settings
from scripts.stack_checks import need_ports, need_room, what_is_wrong
from scripts.take_down import take_down

PROFILES = {"emulators": ("gcs", "bigquery"), "demo": ("sources", "buses"), "cloud-worker": ("cloud-worker",)}
DATABASES = ("postgres", "prefect-db")
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
    generated = fill_env()
    if generated:
        print(f"wrote .env with generated passwords: {', '.join(generated)}")
    env = stack_settings(source)
    read_key(env["GCP_KEY_FILE"])  # a wrong one is better known now
    need_ports(env)
    images = [*jobs(), *SERVED]
    if not all(image_exists(image_name(name, env)) for name in images):
        need_room(env)
    base(env)
    build_missing(images, env)
    have_databases(env, seconds)
    start(env, ["prefect"], ["prefect"], seconds)  # compose 1.29 would wait for ever for one that ends and ends
    start(env, [], served(env), seconds)
    print(greeting(env, "PREFECT_PASSWORD" in generated))


def greeting(env: dict[str, str], new: bool) -> str:
    """Where everything is. The password only when it is new: once is enough for a screen that others may see."""
    here = "http://127.0.0.1"
    password = f"password {env['PREFECT_PASSWORD']} (PREFECT_PASSWORD in .env)" if new else "PREFECT_PASSWORD in .env"
    cloud = f"storage {here}:{env['GCS_PORT']}, BigQuery {here}:{env['BIGQUERY_PORT']} (emulators)"
    return (
        f"\nPrefect   {here}:{env['PREFECT_PORT']}"
        f"\n          log in as longshore, {password}"
        f"\nmap       {here}:{env['MAP_PORT']} (late buses{'' if env['BODS_API_KEY'] else ': BODS_API_KEY is not set'})"
        f"\nwarehouse docker exec -it {container(env, 'postgres')[:12]} psql -U postgres {env['WAREHOUSE_DB']}"
        f"\ncloud     {cloud if 'gcs' in served(env) else 'Google Cloud'}"
        f'\nnext      make run JOB=web-to-postgres PARAMS=\'{{"year": 2021, "months": [1]}}\''
    )


def have_databases(env: dict[str, str], seconds: float) -> None:
    """Start the databases, ahead of those that use them, and bring those of an older version up to this one."""
    start(env, DATABASES, DATABASES, seconds)
    warehouse, records = (container(env, name) for name in DATABASES)
    check_passwords(env, warehouse, records)
    if to_be_moved(warehouse):
        print("Prefect's records get a database server of their own; the older version's services are stopped for it")
        take_down(everything())
        start(env, DATABASES, DATABASES, seconds)
        warehouse, records = (container(env, name) for name in DATABASES)
        move_records(warehouse, records)
        print(f"moved. The old ones are kept as they were: database {OLD} in the service postgres")
    have_reader(warehouse)


def start(env: dict[str, str], names: Iterable[str], last: Iterable[str], seconds: float) -> None:
    """Start services, all when none is named, and wait for the last ones. UserError: which is not well, and why."""
    project = env["COMPOSE_PROJECT_NAME"]
    try:
        compose(env, "up", "--detach", "--no-build", "--remove-orphans", *names)
    except UserError:
        if wrong := [one for one in services(project) if one.wrong]:
            raise UserError(what_is_wrong(wrong[0], project)) from None
        raise
    wait_healthy(project, set(last), seconds)


def container(env: dict[str, str], service: str) -> str:
    """Id of a service's container, empty when there is none."""
    return next((one.container for one in services(env["COMPOSE_PROJECT_NAME"]) if one.name == service), "")


def served(env: dict[str, str]) -> list[str]:
    """The services that come last and stay."""
    profiles = env["COMPOSE_PROFILES"].split(",")
    return ["prefect", "worker", "map", *(service for profile in profiles for service in PROFILES.get(profile, ()))]


def wait_healthy(project: str, wanted: set[str], seconds: float) -> None:
    """Wait for services; compose 1.29 can't. UserError: which is not well, and why."""
    deadline = time.monotonic() + seconds
    first: dict[str, int] = {}  # restarts so far
    while True:
        there = [one for one in services(project) if one.name in wanted]
        if missing := wanted - {one.name for one in there}:
            raise UserError(f"{', '.join(sorted(missing))} did not start; see: make logs")
        waiting = [one for one in there if one.health != "healthy"]
        if not waiting:
            return
        for one in waiting:
            # One that is unhealthy now may become well until the time is over; one that ends and ends will not.
            again = one.restarts > first.setdefault(one.container, one.restarts)
            if again or one.wrong not in ("", "unhealthy") or time.monotonic() > deadline:
                raise UserError(what_is_wrong(one, project))
        time.sleep(0.5)


def everything() -> dict[str, str]:
    """Settings with which compose sees every service. It insists on passwords even to stop: any value will do."""
    env = stack_settings("demo") | {"COMPOSE_PROFILES": ",".join(PROFILES)}
    return env | {name: env.get(name) or "none" for name in PASSWORDS}


def clean(yes: bool) -> None:
    """Take the stack down and delete its data, after asking."""
    need_engine()
    env = everything() | {"TAG": "any"}
    project = env["COMPOSE_PROJECT_NAME"]
    print(
        f"This deletes, for good: the containers and the networks of project {project}, and its volumes"
        f"\n{', '.join(volumes(project))}: the warehouse, Prefect's records and what is in the emulators"
        "\nof Google Cloud. .env and the images stay."
    )
    if not yes and input("Type yes to go on: ").strip() != "yes":
        raise UserError("nothing deleted")
    take_down(env, "--volumes")


def down() -> None:
    """Stop and remove the containers, runs as well; the data stay in the volumes."""
    need_engine()
    take_down(everything())


def logs() -> None:
    """Follow what the services print."""
    need_engine()
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
