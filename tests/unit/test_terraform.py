"""terraform/: what Python reads is there, every name resolves, every variable is used and checked."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from jobs.etl_parent.flow import etl_parent_flow
from jobs.gcs_to_bigquery.flow import gcs_to_bigquery
from jobs.late_buses import store
from jobs.late_buses.flow import master_flow
from scripts.environment import OUTPUTS, read_outputs
from tests.unit.terraform_files import (
    FOLDER,
    LOCALS,
    OUTPUT_BLOCKS,
    RESOURCES,
    VARIABLES,
    parse,
    references,
    strings,
    uncommented,
)


def test_every_setting_that_python_reads_is_an_output() -> None:
    assert set(OUTPUTS.values()) <= set(OUTPUT_BLOCKS)


def test_every_output_and_variable_says_what_it_is() -> None:
    assert not [name for name, body in {**OUTPUT_BLOCKS, **VARIABLES}.items() if not body.get("description")]
    assert not [name for name, body in VARIABLES.items() if not body.get("type")]
    assert not [name for name, body in VARIABLES.items() if body["type"] != "bool" and not body.get("validation")]


def test_only_the_project_must_be_given_and_none_of_ours_is_a_default() -> None:
    assert [name for name, body in VARIABLES.items() if "default" not in body] == ["project"]


def test_the_datasets_are_those_that_jobs_load_into_when_nobody_names_one() -> None:
    flows = (etl_parent_flow, gcs_to_bigquery, master_flow)
    assert {flow.parameters.properties["dataset"]["default"] for flow in flows} == set(VARIABLES["datasets"]["default"])


def test_objects_that_are_kept_for_a_day_are_those_that_every_look_at_the_buses_replaces() -> None:
    conditions = [rule["condition"][0] for rule in RESOURCES["google_storage_bucket.lake"]["lifecycle_rule"]]
    (replaced,) = [one for one in conditions if "matches_prefix" in one]
    assert set(replaced["matches_prefix"]) == {store.LATE, store.LIVE}


def test_every_name_resolves_and_every_variable_and_local_is_used() -> None:
    used = {"var": set(), "local": set()}  # type: dict[str, set[str]]
    for kind, name in references():
        if kind in used:
            used[kind].add(name)
        else:
            assert f"{kind}.{name}" in RESOURCES
    outside = {name for name in used["var"] if name in VARIABLES}
    assert used["var"] == outside == {*VARIABLES}
    assert used["local"] == {*LOCALS}


@pytest.mark.parametrize("example", ["terraform.tfvars.example", "checks/everything.tfvars"])
def test_an_example_sets_variables_that_are_there(example: str, tmp_path: Path) -> None:
    given = parse(uncommented(FOLDER / example, tmp_path))
    assert "project" in given
    assert set(given) <= set(VARIABLES)


def test_the_script_reads_what_the_vm_is_given() -> None:
    metadata = RESOURCES["google_compute_instance.worker"]["metadata"]
    script = (FOLDER / "worker/startup.sh").read_text()
    (keys,) = re.findall(r"for key in (.+); do", script)
    assert {f"longshore-{key.replace('_', '-')}" for key in keys.split()} == {
        name for name in metadata if name.startswith("longshore-")
    }


def test_every_file_that_is_read_is_there() -> None:
    read = [path for text in strings(RESOURCES) for path in re.findall(r'file\("\$\{path\.module\}/(.+?)"\)', text)]
    assert read
    assert all((FOLDER / path).exists() for path in read)


def test_terraforms_version_is_one_that_the_configuration_takes() -> None:
    (settings,) = parse(FOLDER / "versions.tf")["terraform"]
    least = settings["required_version"].removeprefix(">= ")
    chosen = (FOLDER / ".terraform-version").read_text()
    assert [*map(int, chosen.split("."))] >= [*map(int, least.split("."))]


def test_outputs_are_read_as_terraform_writes_them(tmp_path: Path) -> None:
    made = {name: {"sensitive": False, "type": "string", "value": f"a-{name}"} for name in OUTPUT_BLOCKS}
    path = tmp_path / "outputs.json"
    path.write_text(json.dumps(made))
    assert read_outputs(path) == {setting: f"a-{output}" for setting, output in OUTPUTS.items()}


def test_checkov_is_locked() -> None:
    lock = tomllib.loads((FOLDER / "checks/policies.py.lock").read_text())
    (version,) = [package["version"] for package in lock["package"] if package["name"] == "checkov"]
    assert f'"checkov=={version}"' in (FOLDER / "checks/policies.py").read_text()
