"""Flows, steps and blocks: the only room that imports Prefect, and only where Prefect is to run a flow."""
