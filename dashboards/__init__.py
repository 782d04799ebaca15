"""Pages to look at what the jobs made."""
