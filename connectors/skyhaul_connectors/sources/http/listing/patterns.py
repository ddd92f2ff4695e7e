"""URLs of one server as a root folder, objects named one by one, and globs.

A glob is what stands unescaped in the URL: `*`, `[…]`, `**`. The same characters percent-encoded are part of
a name, and so is `%2F`. (An unescaped `?` begins the query.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote

from skyhaul_connectors.sources.catalogue.globs import has_glob
from skyhaul_connectors.sources.catalogue.object_names import fault_in_path
from skyhaul_connectors.sources.url import HttpUrl
from skyhaul_connectors.sources.url_spelling import name_of, normal_form
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import printable

_RUN = re.compile("((?:%[0-9A-Fa-f]{2})+)")
"""Bytes that follow each other are decoded together: a character of UTF-8 may have several."""
_MAGIC = re.compile(r"[*?[]")
"""In brackets each stands for itself (fnmatch)."""
_SLASH = re.compile("%2f", re.IGNORECASE)
"""The one encoded character that stays so in a name: decoded it would part the name."""
_HEX = re.compile("[0-9A-Fa-f]{2}")


@dataclass(frozen=True, slots=True)
class HttpSelection:
    """The URLs of one source, taken apart.

    Attributes:
        root: The longest folder without globs that all URLs share.
        exact: Name -> spelling of the objects that are named by themselves.
        globs: Over names, with what is no glob escaped.
        shown: The URLs below the root, decoded where that leaves no doubt. The plan's digest has these: to
            show one otherwise makes another plan of an old job.
    """

    root: HttpUrl
    exact: dict[str, str]
    globs: tuple[str, ...]
    shown: tuple[str, ...]

    @property
    def patterns(self) -> tuple[str, ...]:
        """Globs that take what is selected."""
        return (*self.globs, *(_MAGIC.sub(r"[\g<0>]", name) for name in self.exact))


def select(source: str, urls: Sequence[HttpUrl]) -> HttpSelection:
    """`urls` are of one origin, have no query, and are of UTF-8. Raises UsageError."""
    split = [_split(url.path) for url in urls]
    # By segments as they are spelled: `%64` and `d` may be two folders to the server.
    common: list[str] = []
    for segments in zip(*(folder for folder, _ in split), strict=False):
        if len(set(segments)) > 1:
            break
        common.append(segments[0])
    below = ["/".join([*folder[len(common) :], *rest]) for folder, rest in split]
    # User info stays with the root: all URLs have the same (`scheme._share_root`).
    root = replace(urls[0], path="/" + "".join(f"{segment}/" for segment in common))
    exact: dict[str, str] = {}
    for pattern in below:
        if not has_glob(pattern):
            _add_exact(source, exact, pattern)
    return HttpSelection(
        root,
        exact,
        tuple("/".join(map(_as_glob, pattern.split("/"))) for pattern in below if has_glob(pattern)),
        tuple(map(_shown, below)),
    )


def _split(path: str) -> tuple[list[str], list[str]]:
    """(segments of the longest folder without globs, the others)."""
    segments = path.split("/")[1:]
    # A URL that ends in a slash means everything below.
    if segments[-1] == "":
        segments[-1] = "**"
    stop = next((i for i, segment in enumerate(segments) if has_glob(segment)), len(segments) - 1)
    return segments[:stop], segments[stop:]


def _add_exact(source: str, exact: dict[str, str], spelling: str) -> None:
    name = name_of(spelling)
    fault = fault_in_path(name)
    if fault:
        raise UsageError(
            f"source {source}: the path {printable(name)[:200]!r} {fault}; make its URL a source of its"
            " own, or write a list of objects with a path for each"
        )
    # Equal by RFC 3986, section 6.2.2, is one object twice; else the server may have two, and one name.
    if normal_form(exact.setdefault(name, spelling)) != normal_form(spelling):
        raise UsageError(
            f"source {source}: two URLs have the path {printable(name)[:200]!r}; write a list of objects with"
            " a path for each"
        )


def _as_glob(segment: str) -> str:
    """As fnmatch takes it: encoded characters are themselves. Inside brackets they are so anyway."""
    if segment == "**":
        return segment
    text = ""
    for i, piece in enumerate(_RUN.split(segment)):
        if i % 2 == 0:
            text += piece
        else:
            # Between brackets a further pair would end them early.
            bracketed = text.rfind("[") > text.rfind("]")
            text += name_of(piece) if bracketed else _MAGIC.sub(r"[\g<0>]", name_of(piece))
    return text


def _shown(pattern: str) -> str:
    pieces = _RUN.split(pattern)
    for i in range(1, len(pieces), 2):
        text = "%2F".join(_decoded(piece) for piece in _SLASH.split(pieces[i]))
        # What would read as an encoded character stays encoded itself.
        pieces[i] = f"{text}25" if text.endswith("%") and _HEX.match(pieces[i + 1]) else text
    return "".join(pieces)


def _decoded(run: str) -> str:
    # What would read as a glob stays encoded.
    return _MAGIC.sub(lambda match: f"%{ord(match[0]):02X}", unquote(run, errors="strict"))
