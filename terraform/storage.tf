resource "google_storage_bucket" "lake" {
  #checkov:skip=CKV_GCP_62:Who reads what is in the audit logs; a second bucket with access logs would tell no more
  name                        = var.bucket_name == "" ? "${var.project}-${var.name}" : var.bucket_name
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = var.force_destroy

  versioning {
    enabled = true
  }

  # Objects that a newer one replaced, or that were deleted.
  lifecycle_rule {
    condition {
      days_since_noncurrent_time = var.keep_old_objects_days
    }
    action {
      type = "Delete"
    }
  }

  # What the late buses replace every 30 seconds: the history has it too, in objects and tables of its own.
  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 1
      matches_prefix             = ["late_buses.csv", "live_location/live_location.parquet"]
    }
    action {
      type = "Delete"
    }
  }

  # Parts of uploads that were never finished.
  lifecycle_rule {
    condition {
      age = 7
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  depends_on = [google_project_service.enabled]
}

# Made here, because the jobs' account may load into datasets and not make them.
resource "google_bigquery_dataset" "warehouse" {
  #checkov:skip=CKV_GCP_81:Google's own keys encrypt it; a key of one's own is one more thing to lose the data by
  for_each = var.datasets

  dataset_id                 = each.value
  location                   = var.region # that of the bucket: load jobs read only from their own region
  description                = "Loaded by Longshore's jobs."
  delete_contents_on_destroy = var.force_destroy

  depends_on = [google_project_service.enabled]
}
