# The worker: a small Debian VM. Not Container-Optimized OS, so that a test can run the start-up script on the system
# that it runs on here; Google's Debian images install their security updates by themselves.
locals {
  zone         = var.zone == "" ? "${var.region}-b" : var.zone
  pushed       = "${path.module}/../pushed-images.json"
  pushed_image = fileexists(local.pushed) ? jsondecode(file(local.pushed)).images["orchestration"] : ""
  worker_image = var.worker_image == "" ? local.pushed_image : var.worker_image
}

resource "google_compute_instance" "worker" {
  #checkov:skip=CKV_GCP_38:Google's own keys encrypt the disk; the one secret is in memory only
  count = var.worker_count

  name                      = "${var.name}-worker-${count.index + 1}"
  zone                      = local.zone
  machine_type              = var.worker_machine_type
  allow_stopping_for_update = true

  boot_disk {
    initialize_params {
      image = "debian-cloud/debian-12"
      size  = 10
      type  = "pd-balanced"
    }
  }

  network_interface {
    subnetwork = google_compute_subnetwork.workers.id
    # No access_config: no address that the internet knows.
  }

  service_account {
    email  = google_service_account.worker.email
    scopes = ["cloud-platform"] # what it may do is decided by its roles
  }

  shielded_instance_config {
    enable_secure_boot          = true
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }

  # The script reads longshore-*. A change gets to a running worker by: sudo google_metadata_script_runner startup
  metadata = {
    startup-script             = file("${path.module}/worker/startup.sh")
    longshore-image            = local.worker_image
    longshore-pool             = var.worker_pool
    longshore-pool-type        = var.worker_pool_type
    longshore-secret           = google_secret_manager_secret.prefect_profile.id
    enable-oslogin             = "TRUE"
    block-project-ssh-keys     = "TRUE"
    serial-port-logging-enable = "TRUE" # the worker's log, in Cloud Logging
  }

  lifecycle {
    precondition {
      condition     = local.worker_image != ""
      error_message = "A worker needs an image: run make push first, or set worker_image."
    }
  }

  # What it needs to start.
  depends_on = [
    google_artifact_registry_repository_iam_member.worker_pulls,
    google_compute_router_nat.workers,
    google_project_iam_member.worker_logs,
    google_secret_manager_secret_iam_member.worker_reads_profile,
  ]
}
