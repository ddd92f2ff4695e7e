"""The rows of committed shards, read back: what stands by its commit record, and nothing else."""
