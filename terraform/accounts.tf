# Two identities: who starts jobs, and what a job may touch. Neither has a key. Rights are on single resources where
# Google Cloud can; on the project only where it can't.

resource "google_service_account" "worker" {
  account_id   = "${var.name}-worker"
  display_name = "Longshore worker: starts and watches jobs"

  depends_on = [google_project_service.enabled]
}

resource "google_service_account" "jobs" {
  account_id   = "${var.name}-jobs"
  display_name = "Longshore jobs: load into the bucket and the datasets"

  depends_on = [google_project_service.enabled]
}

# The calls of Prefect's Cloud Run workers (v1, v2) and no others: roles/run.developer could change services too.
resource "google_project_iam_custom_role" "job_starter" {
  role_id     = "${replace(var.name, "-", "_")}_job_starter"
  title       = "Longshore job starter"
  description = "Make, run, watch and delete Cloud Run jobs."
  permissions = [
    "run.executions.delete",
    "run.executions.get",
    "run.executions.list",
    "run.jobs.create",
    "run.jobs.delete",
    "run.jobs.get",
    "run.jobs.run",
  ]

  depends_on = [google_project_service.enabled]
}

resource "google_project_iam_member" "worker_starts_jobs" {
  project = var.project
  role    = google_project_iam_custom_role.job_starter.name
  member  = google_service_account.worker.member
}

resource "google_service_account_iam_member" "worker_acts_as_jobs" {
  service_account_id = google_service_account.jobs.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.worker.member
}

# Its own image, and those of the jobs: Cloud Run asks this of whoever makes a job.
resource "google_artifact_registry_repository_iam_member" "worker_pulls" {
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.worker.member
}

resource "google_secret_manager_secret_iam_member" "worker_reads_profile" {
  secret_id = google_secret_manager_secret.prefect_profile.id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.worker.member
}

# The guest agent sends the start-up script's log.
resource "google_project_iam_member" "worker_logs" {
  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.worker.member
}

# Jobs write no log of their own: Cloud Run takes what they print.
resource "google_storage_bucket_iam_member" "jobs_write_objects" {
  bucket = google_storage_bucket.lake.name
  role   = "roles/storage.objectUser"
  member = google_service_account.jobs.member
}

resource "google_bigquery_dataset_iam_member" "jobs_edit_dataset" {
  for_each = google_bigquery_dataset.warehouse

  dataset_id = each.value.dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = google_service_account.jobs.member
}

# Load jobs and queries belong to the project; this shows and changes no data.
resource "google_project_iam_member" "jobs_query" {
  project = var.project
  role    = "roles/bigquery.jobUser"
  member  = google_service_account.jobs.member
}

# Jobs read the profile as a file, so that no key stands in a job's environment.
resource "google_secret_manager_secret_iam_member" "jobs_read_profile" {
  secret_id = google_secret_manager_secret.prefect_profile.id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.jobs.member
}
