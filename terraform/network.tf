# A network of its own, in which nothing listens to the outside: it has no rule that lets anything in but SSH through
# Google's Identity-Aware Proxy. Without workers there is no NAT to pay for.
resource "google_compute_network" "longshore" {
  name                    = var.name
  auto_create_subnetworks = false

  depends_on = [google_project_service.enabled]
}

resource "google_compute_subnetwork" "workers" {
  name                     = "${var.name}-workers"
  network                  = google_compute_network.longshore.id
  ip_cidr_range            = var.subnet_cidr
  private_ip_google_access = true # Google's APIs without a way out

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.5
    metadata             = "EXCLUDE_ALL_METADATA"
  }
}

resource "google_compute_firewall" "ssh_by_iap" {
  name                    = "${var.name}-ssh-by-iap"
  network                 = google_compute_network.longshore.id
  direction               = "INGRESS"
  source_ranges           = ["35.235.240.0/20"] # Identity-Aware Proxy
  target_service_accounts = [google_service_account.worker.email]

  allow {
    protocol = "tcp"
    ports    = ["22"]
  }
}

# The way out, for Prefect's API and Debian's packages.
resource "google_compute_router" "workers" {
  count = var.worker_count > 0 ? 1 : 0

  name    = "${var.name}-workers"
  network = google_compute_network.longshore.id
}

resource "google_compute_router_nat" "workers" {
  count = var.worker_count > 0 ? 1 : 0

  name                               = "${var.name}-workers"
  router                             = google_compute_router.workers[0].name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  subnetwork {
    name                    = google_compute_subnetwork.workers.id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}

# Through this jobs reach private addresses in the network: a Postgres, a Prefect server.
resource "google_vpc_access_connector" "jobs" {
  count = var.vpc_connector_cidr == "" ? 0 : 1

  name          = "${var.name}-jobs"
  network       = google_compute_network.longshore.name
  ip_cidr_range = var.vpc_connector_cidr
  machine_type  = "e2-micro"
  min_instances = 2
  max_instances = 3

  depends_on = [google_project_service.enabled]
}
