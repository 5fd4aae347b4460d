"""The page of a front."""
