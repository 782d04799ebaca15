# Longshore on Google Cloud. storage.tf: bucket and datasets. registry.tf: images. accounts.tf: who may do what.
# secrets.tf, network.tf, worker.tf: the machine that hands out runs. ci.tf: pushes from GitHub without a key.

provider "google" {
  project = var.project
  region  = var.region

  default_labels = {
    app = var.name
  }
}

locals {
  apis = [
    "artifactregistry.googleapis.com",
    "bigquery.googleapis.com",
    "compute.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com", # tokens for Workload Identity Federation
    "logging.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "storage.googleapis.com",
    "sts.googleapis.com", # as iamcredentials
    "vpcaccess.googleapis.com",
  ]
}

resource "google_project_service" "enabled" {
  for_each = toset(local.apis)

  service            = each.value
  disable_on_destroy = false # others in the project may use it
}
