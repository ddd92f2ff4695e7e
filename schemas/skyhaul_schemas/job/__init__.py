"""A job file: its model, how it is read, what is refused in it."""
