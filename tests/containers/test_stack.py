"""The stack as `make up SOURCE=demo` starts it, and runs of the job through its worker."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from scripts.docker import docker_says
from scripts.settings import ROOT
from scripts.stack import container
from tests.containers.conftest import PORTS, inspect
from tests.containers.runs import (
    PROJECT,
    ask,
    check_locked_up,
    job_containers,
    make,
    run,
    run_in_background,
    settle,
    sql,
    wait_for,
)

FEBRUARY = '{"year": 2021, "months": [2]}'
LOADED = "SELECT count(*) FROM yellow_taxi_trips"
LEDGER = "SELECT count(*), coalesce(sum(rows_loaded), 0) FROM load_ledger"


def start(env: dict[str, str], params: str) -> subprocess.Popen[str]:
    """Start `make run` and come back when its COPY is under way."""
    running = run_in_background(env, params)
    wait_for(lambda: int(sql(env, "SELECT coalesce(sum(tuples_processed), 0) FROM pg_stat_progress_copy")) > 100_000)
    return running


def test_up_twice_is_harmless(stack: dict[str, str]) -> None:
    before = container(stack, "postgres"), container(stack, "prefect")
    done = make(stack, "up", "SOURCE=demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (container(stack, "postgres"), container(stack, "prefect")) == before
    settle(stack)


def test_every_port_is_bound_to_this_machine_only(stack: dict[str, str]) -> None:
    ids = docker_says("ps", "-aq", "--filter", f"label=com.docker.compose.project={PROJECT}").split()
    bound = [port for one in ids for ports in inspect(one)["HostConfig"]["PortBindings"].values() for port in ports]
    assert {port["HostIp"] for port in bound} == {"127.0.0.1"}
    assert {port["HostPort"] for port in bound} == {value for name, value in stack.items() if name in PORTS}


def test_a_role_can_enter_its_own_database_only(stack: dict[str, str]) -> None:
    psql = "PGPASSWORD={} psql -h 127.0.0.1 -U {} -d {} -Atc 'SELECT 1'"
    roles = {
        "warehouse": "WAREHOUSE_PASSWORD",
        "warehouse_reader": "WAREHOUSE_READER_PASSWORD",
        "prefect": "PREFECT_DB_PASSWORD",
    }
    cases = {
        ("postgres", "warehouse", "warehouse"): "1",
        ("postgres", "warehouse_reader", "warehouse"): "1",
        ("postgres", "prefect", "warehouse"): "",
        ("prefect-db", "prefect", "prefect"): "1",
        ("prefect-db", "warehouse", "prefect"): "",
    }
    for (service, role, database), answer in cases.items():
        shell = psql.format(stack[roles[role]], role, database)
        assert docker_says("exec", container(stack, service), "sh", "-c", shell) == answer, (service, role, database)


def test_a_run_through_the_worker_loads_the_rows(stack: dict[str, str]) -> None:
    done = run(stack, '{"year": 2021, "months": [1]}')
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1,344,091" in done.stdout
    assert sql(stack, LOADED) == "1344091"
    assert job_containers() == []


def test_the_maps_role_reads_and_cannot_write(stack: dict[str, str]) -> None:
    reader = f"PGPASSWORD={stack['WAREHOUSE_READER_PASSWORD']} psql -h 127.0.0.1 -U warehouse_reader -d warehouse -Atc"
    reads, writes = '"SELECT count(*) > 0 FROM load_ledger"', '"SET transaction_read_only=off; DELETE FROM load_ledger"'
    inside = ("exec", container(stack, "postgres"), "sh", "-c")
    assert docker_says(*inside, f"{reader} {reads}") == "t"
    assert "permission denied" in docker_says(*inside, f"{reader} {writes} 2>&1")


def test_kill_9_of_the_container_starts_the_run_again_and_every_row_is_there_once(stack: dict[str, str]) -> None:
    before = sql(stack, LOADED)
    running = start(stack, FEBRUARY)
    (killed,) = job_containers()
    job = inspect(killed)
    docker_says("kill", "--signal", "KILL", killed)
    output, _ = running.communicate(timeout=180)
    assert running.returncode == 0, output
    assert "Restarted: Started again." in output
    assert "-- Completed" in output
    assert job_containers() == []
    check_locked_up(job, stack)
    assert int(sql(stack, LOADED)) > int(before)
    assert sql(stack, LEDGER).split("|") == ["2", sql(stack, LOADED)]


def test_a_run_that_is_killed_again_is_crashed_and_nothing_has_changed(stack: dict[str, str]) -> None:
    before = sql(stack, LOADED), sql(stack, LEDGER)
    with held(stack) as running:
        (first,) = job_containers()
        docker_says("kill", "--signal", "KILL", first)
        wait_for(lambda: [one for one in job_containers() if one != first and inspect(one)["State"]["Running"]])
        (second,) = job_containers()
        docker_says("kill", "--signal", "KILL", second)
        output, _ = running.communicate(timeout=120)
    assert running.returncode == 1, output
    assert "-- Crashed: The container ended before the run did: exit code 137, killed." in output
    assert (sql(stack, LOADED), sql(stack, LEDGER)) == before
    wait_for(lambda: job_containers() == [])


@contextmanager
def held(env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A run that waits at a lock, so that it can't end within."""
    lock = "LOCK TABLE yellow_taxi_trips IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(300)"
    into = ["docker", "exec", container(env, "postgres"), "psql", "-Xq", "-U", "postgres", "-d", "warehouse"]
    psql = [*into, "-c", lock]
    with subprocess.Popen(psql, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        try:
            running = run_in_background(env, '{"year": 2021, "months": [2], "force": true}')
            # The job's wait, not psql's own: that may have to wait too, for an autovacuum that comes after a load.
            asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            waiting = f"{asked} AND application_name = 'longshore'"
            wait_for(lambda: sql(env, waiting) != "0")
            yield running
        finally:
            sql(env, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LOCK%'")


def test_cancel_stops_the_container(stack: dict[str, str]) -> None:
    before = sql(stack, LOADED), sql(stack, LEDGER)
    with held(stack) as running:
        cancel(stack, inspect(job_containers()[0])["Config"]["Labels"]["io.prefect.flow-run-id"])
        output, _ = running.communicate(timeout=120)
        wait_for(lambda: not job_containers())
    assert running.returncode == 1, output
    assert "Cancelled" in output
    assert (sql(stack, LOADED), sql(stack, LEDGER)) == before


def test_down_in_the_midst_of_a_run_ends_it_and_keeps_the_data(stack: dict[str, str]) -> None:
    before = sql(stack, LOADED), sql(stack, LEDGER)
    with held(stack) as running:
        down = make(stack, "down")
        running.kill()
        running.communicate()
    left = docker_says("network", "ls", "-q", "--filter", f"name={PROJECT}-")
    done = make(stack, "up", "SOURCE=demo")  # first of all, for the tests that come after
    assert done.returncode == 0, done.stdout + done.stderr
    settle(stack)
    assert down.returncode == 0, down.stdout + down.stderr
    assert "stopping 1 run(s)" in down.stdout
    assert left == ""
    assert (sql(stack, LOADED), sql(stack, LEDGER)) == before


def cancel(env: dict[str, str], run_id: str) -> None:
    """What `prefect flow-run cancel` and the button in the pages do."""
    answer = ask(env, f"flow_runs/{run_id}/set_state", {"state": {"type": "CANCELLING"}})
    assert answer["status"] == "ACCEPT"


def test_the_exit_code_tells(stack: dict[str, str]) -> None:
    missing = '{"url": "http://sources:8000/no-such-file.csv", "table": "nothing"}'
    failed = run(stack, missing)
    assert failed.returncode == 2, failed.stdout  # make's own code for a command that failed
    assert "404" in failed.stdout
    for job, params, message in [
        ("web-to-nowhere", "{}", "web-to-postgres/monthly"),
        ("web-to-postgres", "{months: [1]}", "not JSON"),
        ("web-to-postgres", '{"month": [1]}', "Did you mean 'months'?"),
        ("web-to-postgres", '{"months": "x"}', "PARAMS do not fit"),
    ]:
        command = [".venv/bin/python", "-m", "scripts.run", job, "--params", params]
        wrong = subprocess.run(command, cwd=ROOT, env={**stack, "PYTHONPATH": "."}, capture_output=True, text=True)
        assert wrong.returncode == 2, wrong.stdout
        assert message in wrong.stderr
