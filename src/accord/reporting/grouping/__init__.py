"""What a grouping says, as a page and for a terminal."""
