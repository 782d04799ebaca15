"""Labels of job containers: whose they are, and what their run may do. A deployment's job variables carry them."""

STACK = "longshore.stack"  # the setting NETWORK: two stacks on one engine leave each other alone
TIMEOUT = "longshore.timeout-seconds"
RESTARTS = "longshore.restarts"
BLOCKS = "longshore.blocks"  # type-slug/name, space separated: what the run's token reads
SETTINGS = "longshore.settings"  # variables, space separated, that a single run may be given
STARTS = "longshore.starts"  # flow/deployment, space separated: what the run may start

RUN = "io.prefect.flow-run-id"  # Prefect's own, on every container of a run
