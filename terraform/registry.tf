resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84:Google's own keys encrypt it; images hold no secret
  repository_id = var.name
  location      = var.region
  format        = "DOCKER"
  description   = "Images of Longshore, pushed by make push."

  # KEEP wins over DELETE. So a deployed image is deleted only when it is 90 days old and as many as keep_images newer
  # ones were pushed without a deployment; give it a tag that begins with "keep", and not even then.
  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"
    most_recent_versions {
      keep_count = var.keep_images
    }
  }

  cleanup_policies {
    id     = "keep-marked"
    action = "KEEP"
    condition {
      tag_state    = "TAGGED"
      tag_prefixes = ["keep"]
    }
  }

  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      tag_state  = "ANY"
      older_than = "7776000s" # 90 days
    }
  }

  # What a push left behind that broke off.
  cleanup_policies {
    id     = "delete-untagged"
    action = "DELETE"
    condition {
      tag_state  = "UNTAGGED"
      older_than = "1209600s" # 14 days
    }
  }

  depends_on = [google_project_service.enabled]
}
