"""What pyarrow raises for a Parquet file that is broken, and how that is told.

Most of it is ArrowException. But a footer is not checksummed, so that any of its bytes may be another one: a
column's name that is no UTF-8 is UnicodeDecodeError, a type that no table has is KeyError or TypeError, a
count that no memory holds is MemoryError or OverflowError; and rotten pages come as OSError without a number.
"""

from __future__ import annotations

import pyarrow as pa

from skyhaul_schemas.printable import printable

PARQUET_ERRORS = (
    pa.ArrowException,
    OSError,
    ValueError,
    LookupError,
    ArithmeticError,
    TypeError,
    AttributeError,
    RuntimeError,
    AssertionError,
    MemoryError,
)
"""None of ours is among them: those are SkyhaulError."""


def said(error: BaseException) -> str:
    """What is wrong, in one line."""
    first = printable(str(error).strip().partition("\n")[0])
    # Arrow's and the system's texts say what is wrong; "'utf-8'" or "7" of a KeyError need its name.
    return first if isinstance(error, pa.ArrowException | OSError) and first else _named(error, first)


def _named(error: BaseException, first: str) -> str:
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
