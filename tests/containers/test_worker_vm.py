"""The worker VM's start-up script, run for real: systemd, Docker out of Debian's packages, a pull, a worker."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.containers.runs import wait_for
from tests.containers.worker_vm import SERVICE, Machine, docker, machine

# Notes the words and the environment of every process, again and again.
WATCH = "while :; do cat /proc/[0-9]*/{cmdline,environ} 2>/dev/null | tr '\\0' ' '; done > /processes"


@pytest.fixture(scope="module")
def vm(images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A VM on which the script has been run, and whose worker is online."""
    with machine(tmp_path_factory.mktemp("vm"), images["orchestration"]) as made:
        made.put_profile()
        done = made.start_up()
        assert done.returncode == 0, done.stdout + done.stderr + made.journal()
        made.wait_online()
        yield made
        print(made.journal())


def test_the_worker_polls_its_pool(vm: Machine) -> None:
    assert list(vm.workers()) == ["longshore-worker-1"]
    assert "Worker 'longshore-worker-1' started!" in vm.journal()


def test_runs_the_image_that_was_pushed_by_digest_and_locked_up(vm: Machine) -> None:
    (found,) = json.loads(vm.says(f"docker inspect {SERVICE}"))
    host = found["HostConfig"]
    assert found["Config"]["Image"] == vm.image
    assert "@sha256:" in vm.image
    assert found["Config"]["User"] == "10001:10001"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Memory"] == host["MemorySwap"] == 1024**3
    assert [mount["RW"] for mount in found["Mounts"]] == [False]


def test_run_again_it_leaves_the_worker_alone(vm: Machine) -> None:
    before = vm.worker()
    assert vm.start_up().returncode == 0
    assert vm.worker() == before
    assert vm.says("docker ps --all --quiet | wc -l") == "1"


def test_a_killed_worker_is_started_again(vm: Machine) -> None:
    before = vm.worker()
    vm.says(f"kill -KILL $(docker inspect --format '{{{{.State.Pid}}}}' {SERVICE})")
    vm.wait_replaced(before)


def test_after_a_reboot_the_worker_comes_back_by_itself(vm: Machine) -> None:
    before = vm.worker()
    docker("restart", vm.id)
    vm.wait_replaced(before)


def test_a_change_of_metadata_reaches_the_worker_when_the_script_runs_again(vm: Machine) -> None:
    vm.give(pool="other", pool_type="cloud-run-v2")
    try:
        assert vm.start_up().returncode == 0
        vm.wait_online(pool="other")
        assert vm.says("docker ps --all --quiet | wc -l") == "1"
    finally:
        vm.give(pool="cloud-run", pool_type="cloud-run")
        vm.start_up()


def test_without_a_profile_the_log_says_what_to_do_and_the_worker_starts_once_it_is_there(vm: Machine) -> None:
    (vm.state / "secret").unlink()
    try:
        assert vm.sh(f"systemctl restart {SERVICE}").returncode == 1
        done = vm.start_up()
        assert done.returncode == 1
        assert "the worker has not started" in done.stderr
        assert "gcloud secrets versions add longshore-prefect-profile --data-file=" in vm.journal()
        assert vm.worker() == ""
    finally:
        vm.put_profile()
    wait_for(vm.worker)


def test_a_secret_that_is_no_profile_is_named(vm: Machine) -> None:
    (vm.state / "secret").write_text("hunter2")
    try:
        assert vm.sh(f"systemctl restart {SERVICE}").returncode == 1
        assert "secret longshore-prefect-profile is not a profiles.toml with PREFECT_API_URL" in vm.journal()
        assert "hunter2" not in vm.journal()
    finally:
        vm.put_profile()


def test_an_image_that_cannot_be_pulled_is_named(vm: Machine) -> None:
    missing = re.sub("sha256:.*", f"sha256:{'0' * 64}", vm.image)
    vm.give(image=missing)
    try:
        assert vm.start_up().returncode == 1
        assert f"{missing} cannot be pulled" in vm.journal()
    finally:
        vm.give(image=vm.image)
        assert vm.start_up().returncode == 0


def test_a_vm_without_its_metadata_says_which(vm: Machine) -> None:
    kept = (vm.state / "attributes.json").read_text()
    (vm.state / "attributes.json").write_text("{}")
    try:
        done = vm.start_up()
        assert done.returncode == 1
        assert "this VM has no metadata longshore-image" in done.stderr
    finally:
        (vm.state / "attributes.json").write_text(kept)


def test_key_and_token_are_in_no_process_container_log_or_file_but_one_in_memory(vm: Machine) -> None:
    vm.says(f"systemctl stop {SERVICE}; docker rm -f {SERVICE}; docker image prune -af")  # so that it is pulled again
    vm.says(f'systemd-run --unit watch bash -c "{WATCH}"')
    vm.says(f"systemctl start {SERVICE}; systemctl stop watch")
    processes = vm.says("cat /processes")
    for secret in (vm.key, vm.token):
        assert secret not in processes
        assert secret not in vm.says(f"docker inspect {SERVICE}") + vm.journal()
    assert "versions/latest:access" in processes  # the call with the token was seen
    assert "docker login" in processes
    found = vm.says(f"grep -rlF -e {vm.key} -e {vm.token} / --exclude-dir=proc --exclude-dir=sys; true")
    assert found.split() == [f"/run/{SERVICE}/profiles.toml"]
    assert vm.says(f"stat --format '%a %u' {found}") == "600 10001"
    assert vm.says("findmnt --noheadings --output FSTYPE --target /run") == "tmpfs"
