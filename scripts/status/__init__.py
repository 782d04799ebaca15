"""`make status`: what Prefect knows of pools, workers and runs, on one screen, and what wants attention."""
