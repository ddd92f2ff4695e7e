"""One link for several workers."""
