"""The worker's side on a cluster: what a runner starts, and the pool that starts it."""
