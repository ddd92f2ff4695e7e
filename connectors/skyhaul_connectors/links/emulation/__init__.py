"""A link's downlink as it would be: rate, delay, loss, queue."""
