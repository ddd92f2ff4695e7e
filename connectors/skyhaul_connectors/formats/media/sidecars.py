"""Side-cars by their names: small objects that say something of the images beside them."""

from __future__ import annotations

from skyhaul_connectors.formats.bytes.compression import stem_of

BESIDE = "beside"
"""As `captions` of a source: they are objects of it."""

CAPTION_SUFFIXES = ("txt", "caption", "text")
"""Of those that are there, the first one's text is the caption."""

JSON_SUFFIX = "json"


def parted(path: str) -> tuple[str, str]:
    """What the name of an object shares with those beside it, and its suffix in lower case: what follows the
    last dot of its last part, compression aside. Names of loose files carry dots of their own
    (`2024.05.01.jpg`), so that it is not the first one, as it is in an archive."""
    path = stem_of(path)
    folder, slash, last = path.rpartition("/")
    stem, _, suffix = last.rpartition(".")
    return (folder + slash + stem, suffix.lower()) if stem else (path, "")


def is_side_car(path: str) -> bool:
    """Whether the object is taken for a side-car, whatever is in it."""
    suffix = parted(path)[1]
    return suffix == JSON_SUFFIX or suffix in CAPTION_SUFFIXES
