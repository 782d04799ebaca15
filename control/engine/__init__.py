"""The proxy before the Docker engine: lets through what a worker needs, and nothing that would own the machine."""
