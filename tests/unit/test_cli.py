"""The command line is the flow's signature, needs no Prefect, and tells wrong usage before anything is opened."""

import inspect
import os
import subprocess
import sys

import pytest

from jobs.web_to_postgres.flow import web_to_postgres
from longshore.flows.options import parser
from scripts.settings import ROOT

OPTIONS = parser(web_to_postgres.fn, "python -m jobs.web_to_postgres")


def run(*words: str, job: str = "web_to_postgres") -> "subprocess.CompletedProcess[str]":
    """`python -m jobs.JOB WORDS…` where nothing is set, and where importing Prefect is an error."""
    lean = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "tests/no_prefect")}
    command = [sys.executable, "-m", f"jobs.{job}", *words]
    return subprocess.run(command, cwd=ROOT, env=lean, capture_output=True, text=True)


def test_every_parameter_has_an_option_with_help_and_the_same_default() -> None:
    parameters = inspect.signature(web_to_postgres.fn).parameters
    given = vars(OPTIONS.parse_args([]))
    assert given == {name: parameter.default for name, parameter in parameters.items()}
    helped = {action.dest: action.help or "" for action in OPTIONS._actions}
    assert all(len(helped[name]) > len(name) + 5 for name in parameters), helped


def test_options_are_read_in_their_types() -> None:
    words = ["--color", "green", "--year", "2021", "--months", "1", "2", "--keep-zero-passengers", "--no-force"]
    words += ["--file-format", "csv"]
    given = vars(OPTIONS.parse_args([*words, "--columns", '{"id": "bigint"}']))
    assert given["months"] == [1, 2]
    assert given["year"] == 2021
    assert (given["keep_zero_passengers"], given["force"]) == (True, False)
    assert given["columns"] == {"id": "bigint"}
    assert (given["color"], given["file_format"]) == ("green", "csv")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--months", "x"], "invalid int value"),
        (["--columns", "[]"], "not a JSON object"),
        (["--columns", "{"], "not JSON"),
        (["--file-format", "xml"], "invalid choice"),
        (["--colour", "green"], "did you mean --color?"),
        (["--months", "13"], "No such month: 2021-13."),
        (["--color", "pink"], "There are no 'pink' taxi trips. Known colors: green, yellow."),
        (["--url", "http://h/a.csv"], "url needs table"),
        (["--url", "http://h/a.csv", "--table", "t", "--months", "1"], "go with taxi trips, not with url"),
        (["--columns", '{"id": "bigint"}'], "go with url"),
        (["--url", "http://h/a.csv", "--table", "t", "--columns", '{"id": "int"}'], "unknown type 'int'"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_why(words: list[str], says: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert "usage: python -m jobs.web_to_postgres" in done.stderr
    assert says in done.stderr


@pytest.mark.parametrize(
    ("job", "words", "says"),
    [
        ("web_to_gcs", ["--url", "http://h/a.csv", "--path", "../a"], "url needs path"),
        (
            "web_to_gcs",
            ["--url", "http://h/a.csv", "--path", "a", "--year", "2021"],
            "go with taxi trips, not with url",
        ),
        ("gcs_to_bigquery", ["--uri", "s3://b/a", "--table", "t"], "is no address of objects"),
        ("gcs_to_bigquery", ["--uri", "gs://b/a", "--table", "t", "--months", "1"], "go with taxi trips, not with uri"),
        ("etl_parent", ["--months", "13"], "No such month"),
        ("late_buses", ["--sinks", "mysql"], "sinks are bigquery and postgres, not 'mysql'"),
        ("late_buses", ["--area", '{"min_lat": 1}'], "area is min_lat"),
        ("late_buses", ["--now", "2026-02-04T08:40:00"], "is that in UTC?"),
    ],
)
def test_every_job_says_what_cannot_be_before_anything_is_opened(job: str, words: list[str], says: str) -> None:
    done = run(*words, job=job)
    assert done.returncode == 2
    assert says in done.stderr


def test_help_names_every_option() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "--keep-zero-passengers" in done.stdout


def test_a_setting_that_is_missing_is_named_and_ends_with_1() -> None:
    done = run("--months", "1")
    assert done.returncode == 1
    assert "WAREHOUSE_URL is not set. Set WAREHOUSE_URL=postgresql://USER:PASSWORD@HOST/DATABASE" in done.stderr
    assert "block sqlalchemy-connector/postgres-connector" in done.stderr


def test_an_old_name_of_a_parameter_still_works_and_says_so() -> None:
    done = run("--dataset", "pink")
    assert done.returncode == 2
    assert "There are no 'pink' taxi trips" in done.stderr
    assert "The parameter dataset is now called color." in done.stderr
