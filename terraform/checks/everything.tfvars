# Every optional part, so that checkov looks at all of it. No such project is meant.
project            = "example-project"
github_repository  = "example/longshore"
vpc_connector_cidr = "10.10.1.0/28"
worker_count       = 1
worker_image       = "europe-west1-docker.pkg.dev/example-project/longshore/orchestration@sha256:0000000000000000000000000000000000000000000000000000000000000000"
