"""Who may do what on Google Cloud: what terraform/ grants is what docs/cloud-rights.md says."""

import re

from scripts.settings import ROOT
from tests.unit.terraform_files import RESOURCES


def rights() -> set[tuple[str, str, str]]:
    """(account, role, on what) of every binding."""
    found = set()
    for name, body in RESOURCES.items():
        kind = name.partition(".")[0]
        if not kind.endswith("_iam_member"):
            assert "_iam_" not in kind or kind.startswith(("google_iam_workload", "google_project_iam_custom_role")), (
                name
            )
            continue
        account = re.search(r"google_service_account\.(\w+)|principalSet", body["member"])
        assert account
        role = body["role"].split(".")[1] if body["role"].startswith("${") else body["role"]
        found.add((account[1] or "GitHub", role, kind.removeprefix("google_").removesuffix("_iam_member")))
    return found


def test_rights_are_those_of_the_docs() -> None:
    lines = (ROOT / "docs/cloud-rights.md").read_text().splitlines()
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    names = {
        "the bucket": "storage_bucket",
        "the datasets": "bigquery_dataset",
        "the repository of images": "artifact_registry_repository",
        "the Prefect profile": "secret_manager_secret",
        "the project": "project",
        "the jobs' account": "service_account",
        "the CI's account": "service_account",
    }
    assert {(who, role, names[what]) for who, role, what, _ in rows[1:] if not who.startswith("-")} == rights()


def test_nobody_owns_or_edits_the_project_and_no_key_is_made() -> None:
    assert not {role for _, role, _ in rights()} & {"roles/owner", "roles/editor", "roles/run.admin", "roles/viewer"}
    assert not [name for name in RESOURCES if "service_account_key" in name or "secret_version" in name]


def test_no_vm_has_an_address_of_its_own() -> None:
    (interface,) = RESOURCES["google_compute_instance.worker"]["network_interface"]
    assert "access_config" not in interface
    assert [name for name in RESOURCES if name.startswith("google_compute_firewall.")] == [
        "google_compute_firewall.ssh_by_iap"
    ]
