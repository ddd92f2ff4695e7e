"""A plan on disk, and its generations."""
