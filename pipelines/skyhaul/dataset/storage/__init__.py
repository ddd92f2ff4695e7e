"""Where a dataset lies: files here or objects in a store."""
