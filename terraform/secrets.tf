# Where Prefect is, and its key: a profiles.toml. Terraform makes the secret and never sees the value, so that no key
# gets into its state. The value comes from the keyboard or a file:
#   gcloud secrets versions add longshore-prefect-profile --data-file=-
resource "google_secret_manager_secret" "prefect_profile" {
  secret_id = "${var.name}-prefect-profile"

  replication {
    auto {}
  }

  depends_on = [google_project_service.enabled]
}
