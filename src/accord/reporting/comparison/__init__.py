"""What people read of a comparison of methods."""
