"""From listings to shards."""
