"""What follows when all shards of a haul have had their turn."""
