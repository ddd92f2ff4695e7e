"""Side-cars by their names: small objects that say something of the images beside them."""

from __future__ import annotations

from skyhaul_connectors.formats.bytes.compression import stem_of

BESIDE = "beside"
"""The value of `captions` that says: they are objects of the source."""

CAPTION_SUFFIXES = ("txt", "caption", "text")
"""Of the side-cars that are there, the text of the first in this order is the caption."""

JSON_SUFFIX = "json"


def parted(path: str) -> tuple[str, str]:
    """Part a path into what it shares with the objects beside it, and its suffix in lower case.

    The suffix follows the last dot of the last part, compression aside. It is not the first dot, as in an
    archive, because names of loose files have dots of their own (`2024.05.01.jpg`).
    """
    path = stem_of(path)
    folder, slash, last = path.rpartition("/")
    stem, _, suffix = last.rpartition(".")
    # A name that begins with its only dot has no suffix.
    return (folder + slash + stem, suffix.lower()) if stem else (path, "")


def is_side_car(path: str) -> bool:
    """Whether an object is taken for a side-car by its name, whatever is in it."""
    suffix = parted(path)[1]
    return suffix == JSON_SUFFIX or suffix in CAPTION_SUFFIXES
