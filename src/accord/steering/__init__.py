"""A whole front in one run: trained, kept, opened again, steered and exported."""
