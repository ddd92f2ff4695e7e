"""One haul: claim shards, fetch, encode, commit, and reconcile with the plan."""
