"""`python -m jobs.common.engine`: run one flow run, as `python -m prefect.engine` does. Job containers run this."""

import runpy

if __name__ == "__main__":
    runpy.run_module("prefect.engine", run_name="__main__")
