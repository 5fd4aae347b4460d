"""The report of a merge."""
