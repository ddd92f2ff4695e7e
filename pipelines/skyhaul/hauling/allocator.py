"""The allocator of a worker: buffers of megabytes come and go all the time, and page faults cost CPU."""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
"""glibc's `mallopt(3)`."""

_KEPT = 128 * 1024 * 1024
"""Bytes that the heap may keep at its top."""
_MAPPED = 32 * 1024 * 1024
"""Bytes from which on a buffer gets pages of its own: the most that glibc takes."""


def use_one_heap() -> None:
    """Let Arrow allocate from the system's heap, and let glibc keep what is freed for the next row group
    rather than give the pages back to the kernel and fault them in anew. Elsewhere only the first."""
    pa.set_memory_pool(pa.system_memory_pool())
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _MAPPED)
    mallopt(_M_TRIM_THRESHOLD, _KEPT)
    mallopt(_M_TOP_PAD, 16 * 1024 * 1024)
