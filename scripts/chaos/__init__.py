"""Faults by loops on a running stack, and a count of what they did to rows and runs."""
