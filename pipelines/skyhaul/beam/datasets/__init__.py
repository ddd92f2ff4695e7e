"""What follows a haul on Beam: rows of committed shards, and datasets made of them."""
