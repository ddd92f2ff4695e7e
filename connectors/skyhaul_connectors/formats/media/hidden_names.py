"""Names of what macOS and others leave beside files: by convention they are no part of a collection."""

from __future__ import annotations

APPLE_DOUBLE = "an AppleDouble file"
"""As a reason of what is passed over: attributes of another file (RFC 1740), as archives made on macOS have
them beside each file or below `__MACOSX`."""

DOT_NAME = "a file whose name begins with a dot"
"""As a reason, too."""


def is_apple_double(path: str) -> bool:
    """Whether the name is one of an AppleDouble file."""
    *folders, last = path.split("/")
    return last.startswith("._") or "__MACOSX" in folders


def is_dot_name(path: str) -> bool:
    """Whether the last part of a path begins with a dot."""
    return path.rpartition("/")[2].startswith(".")


def why_hidden(path: str) -> str | None:
    """Why a file of this name is no part of a collection; None where it is one."""
    if not path.startswith(".") and "/." not in path and "__MACOSX" not in path:
        return None  # nearly all names: the rest takes three times as long
    if is_apple_double(path):
        return APPLE_DOUBLE
    return DOT_NAME if is_dot_name(path) else None
