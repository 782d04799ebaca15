# `make outputs` writes these to outputs.json, where `make push` and `make deploy` read them.

output "project" {
  description = "The project's id."
  value       = var.project
}

output "region" {
  description = "Where jobs run."
  value       = var.region
}

output "bucket" {
  description = "Name of the bucket."
  value       = google_storage_bucket.lake.name
}

output "datasets" {
  description = "The BigQuery datasets."
  value       = keys(google_bigquery_dataset.warehouse)
}

output "registry" {
  description = "What the names of images begin with."

  value = join("/", [
    "${var.region}-docker.pkg.dev",
    var.project,
    google_artifact_registry_repository.images.repository_id,
  ])
}

output "job_service_account" {
  description = "Whom jobs run as."
  value       = google_service_account.jobs.email
}

output "vpc_connector" {
  description = "Full name of the connector that jobs use; empty: none."
  value       = join("", google_vpc_access_connector.jobs[*].id)
}

output "prefect_profile_secret" {
  description = "Id of the secret that holds the Prefect profile."
  value       = google_secret_manager_secret.prefect_profile.secret_id
}

output "worker_names" {
  description = "Names of the worker VMs."
  value       = google_compute_instance.worker[*].name
}

output "zone" {
  description = "Where the workers are."
  value       = local.zone
}

output "worker_service_account" {
  description = "Whom workers run as."
  value       = google_service_account.worker.email
}

output "ci_service_account" {
  description = "Whom GitHub's workflows push as; empty: none."
  value       = join("", google_service_account.ci[*].email)
}

output "workload_identity_provider" {
  description = "Full name of the provider that lets GitHub's workflows in; empty: none."
  value       = join("", google_iam_workload_identity_pool_provider.github[*].name)
}
