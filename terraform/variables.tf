variable "project" {
  description = "Id of the Google Cloud project; it must exist and have billing."
  type        = string

  validation {
    condition     = can(regex("^([a-z][a-z0-9.-]*:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project must be a project's id (not its name or number), such as my-project-123."
  }
}

variable "region" {
  description = "Region of everything: images, bucket, dataset, jobs, worker."
  type        = string
  default     = "europe-west1"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be one region, such as europe-west1: not a zone, and not EU or US."
  }
}

variable "zone" {
  description = "Zone of the worker, in the region; empty: the region's zone b."
  type        = string
  default     = ""

  validation {
    condition     = var.zone == "" || startswith(var.zone, "${var.region}-")
    error_message = "zone must be empty or in the region, such as europe-west1-b."
  }
}

variable "name" {
  description = "What the names of the resources begin with; the repository of images has this name."
  type        = string
  default     = "longshore"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}[a-z0-9]$", var.name))
    error_message = "name must have 3 to 17 lower-case letters, digits and dashes, and begin with a letter."
  }
}

variable "bucket_name" {
  description = "Name of the bucket, unique in the world; empty: PROJECT-NAME."
  type        = string
  default     = ""

  validation {
    condition     = var.bucket_name == "" || can(regex("^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name must have 3 to 63 lower-case letters, digits, dashes and underscores."
  }
}

variable "datasets" {
  description = "BigQuery datasets that the jobs load into; theirs are these unless told."
  type        = set(string)
  default     = ["bus_tracker", "dezoomcamp"]

  validation {
    condition     = alltrue([for name in var.datasets : can(regex("^[A-Za-z0-9_]+$", name))])
    error_message = "datasets must be names with letters, digits and underscores only."
  }
}

variable "keep_old_objects_days" {
  description = "Days for which an overwritten or deleted object can be had back."
  type        = number
  default     = 30

  validation {
    condition     = var.keep_old_objects_days >= 1 && floor(var.keep_old_objects_days) == var.keep_old_objects_days
    error_message = "keep_old_objects_days must be a whole number of days, 1 or more."
  }
}

variable "keep_images" {
  description = "Versions of each image that are kept however old they are."
  type        = number
  default     = 20

  validation {
    condition     = var.keep_images >= 2 && floor(var.keep_images) == var.keep_images
    error_message = "keep_images must be a whole number, 2 or more: the one in use and the one before."
  }
}

variable "force_destroy" {
  description = "Let `terraform destroy` delete the bucket and the datasets with all that is in them."
  type        = bool
  default     = false
}

variable "github_repository" {
  description = "OWNER/NAME of the GitHub repository whose workflows may push images; empty: none."
  type        = string
  default     = ""

  validation {
    condition     = var.github_repository == "" || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository must be OWNER/NAME, without https://github.com/."
  }
}

variable "github_ref" {
  description = "The one branch or tag whose workflows may push."
  type        = string
  default     = "refs/heads/main"

  validation {
    condition     = can(regex("^refs/(heads|tags)/[A-Za-z0-9._/-]+$", var.github_ref))
    error_message = "github_ref must be a full name, such as refs/heads/main."
  }
}

variable "subnet_cidr" {
  description = "Addresses of the worker's subnet."
  type        = string
  default     = "10.10.0.0/24"

  validation {
    condition     = can(cidrnetmask(var.subnet_cidr))
    error_message = "subnet_cidr must be a range of IPv4 addresses, such as 10.10.0.0/24."
  }
}

variable "vpc_connector_cidr" {
  description = "A /28 for a connector through which jobs reach private addresses (a database); empty: no connector."
  type        = string
  default     = ""

  validation {
    condition     = var.vpc_connector_cidr == "" || try(cidrnetmask(var.vpc_connector_cidr) == "255.255.255.240", false)
    error_message = "vpc_connector_cidr must be empty or a /28 outside subnet_cidr, such as 10.10.1.0/28."
  }
}

variable "worker_count" {
  description = "Worker VMs; 0 until the first `make push`, as they run an image of the registry."
  type        = number
  default     = 0

  validation {
    condition     = var.worker_count >= 0 && floor(var.worker_count) == var.worker_count
    error_message = "worker_count must be a whole number, 0 or more."
  }
}

variable "worker_image" {
  description = "The worker's image by digest; empty: the one that `make push` noted in pushed-images.json."
  type        = string
  default     = ""

  validation {
    condition     = var.worker_image == "" || can(regex("^[^@]+/[^@]+@sha256:[0-9a-f]{64}$", var.worker_image))
    error_message = "worker_image must name the image by digest: REGISTRY/orchestration@sha256:..."
  }
}

variable "worker_pool" {
  description = "Work pool that the worker takes runs from."
  type        = string
  default     = "cloud-run"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9 _.-]*$", var.worker_pool))
    error_message = "worker_pool must have letters, digits, dashes, dots, underscores and spaces only."
  }
}

variable "worker_pool_type" {
  description = "Type of that pool: cloud-run or cloud-run-v2."
  type        = string
  default     = "cloud-run"

  validation {
    condition     = contains(["cloud-run", "cloud-run-v2"], var.worker_pool_type)
    error_message = "worker_pool_type must be cloud-run or cloud-run-v2."
  }
}

variable "worker_machine_type" {
  description = "Machine type of a worker; it only starts and watches jobs."
  type        = string
  default     = "e2-small"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*-[a-z0-9-]+$", var.worker_machine_type))
    error_message = "worker_machine_type must be a machine type, such as e2-small."
  }
}
