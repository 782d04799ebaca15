"""Our worker, led to the stand-in of Cloud Run at CLOUD_RUN_URL: the service's own addresses are fixed."""

import os
from typing import Any

from google.api_core.client_options import ClientOptions
from google.oauth2.credentials import Credentials
from googleapiclient import discovery

from workpools import cloud_run_workers
from workpools.worker import main


def client(version: str, endpoint: str, configuration: Any) -> Any:
    return discovery.build(
        "run",
        version,
        client_options=ClientOptions(api_endpoint=os.environ["CLOUD_RUN_URL"]),
        credentials=Credentials("local"),
        requestBuilder=cloud_run_workers.RetryingRequest,
    )


if __name__ == "__main__":
    cloud_run_workers.client = client
    main()
