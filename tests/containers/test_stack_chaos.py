"""A short `make chaos` on the stack: two faults at once, twice."""

from tests.containers.runs import make


def test_faults_lose_no_row_double_none_and_leave_no_run_behind(stack: dict[str, str]) -> None:
    done = make(stack, "chaos", "ROUNDS=2", "SEED=7", "ONLY=at once")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left: 0 runs not ended, 0 tasks not ended, 0 containers of jobs, 0 staging tables" in done.stdout
