"""Lots: which shards a worker takes, and what each of them comes to."""
