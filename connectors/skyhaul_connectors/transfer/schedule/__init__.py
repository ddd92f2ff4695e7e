"""Which range is asked for when, of whom and over which link; without I/O and clocks."""
