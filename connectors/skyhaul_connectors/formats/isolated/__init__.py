"""Readers of hostile bytes run in a child process, with limits on its memory and CPU time.

`reader` is the side that asks, `__main__` the child's life, `protocol` what goes between them and what the
code that runs in the child is to it.
"""
