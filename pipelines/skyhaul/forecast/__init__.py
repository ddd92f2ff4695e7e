"""When a haul will be done: its plan in virtual time, over what is known of its links."""
