# GitHub's workflows push images with a token that GitHub signs for one run: there is no key to leak.
locals {
  ci   = var.github_repository == "" ? 0 : 1
  pool = one(google_iam_workload_identity_pool.github[*].name)
}

resource "google_service_account" "ci" {
  count = local.ci

  account_id   = "${var.name}-ci"
  display_name = "Longshore CI: pushes images"

  depends_on = [google_project_service.enabled]
}

resource "google_iam_workload_identity_pool" "github" {
  count = local.ci

  workload_identity_pool_id = "${var.name}-github"
  display_name              = "GitHub"

  depends_on = [google_project_service.enabled]
}

resource "google_iam_workload_identity_pool_provider" "github" {
  #checkov:skip=CKV_GCP_125:It is: checkov does not fill in github_repository, whose form the variable's validation holds
  count = local.ci

  workload_identity_pool_id          = google_iam_workload_identity_pool.github[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  display_name                       = "GitHub"

  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.repository"
  }
  # This issuer signs for every repository of the world, and for pull requests: let in this repository's one ref only.
  attribute_condition = "assertion.sub == 'repo:${var.github_repository}:ref:${var.github_ref}'"

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account_iam_member" "github_is_ci" {
  count = local.ci

  service_account_id = google_service_account.ci[0].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${local.pool}/attribute.repository/${var.github_repository}"
}

resource "google_artifact_registry_repository_iam_member" "ci_pushes" {
  count = local.ci

  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.ci[0].member
}
