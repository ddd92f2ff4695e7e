"""Code of others that rows go through on their way into a shard, and what it is held to."""
