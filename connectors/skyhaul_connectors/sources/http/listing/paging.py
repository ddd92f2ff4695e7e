"""What the query of a link to the same index page means: a further page of the listing, another order of the
same one, or something else that it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_plus

_NUMBERED = frozenset(("p", "pg", "paged", "from", "after", "start", "skip", "offset"))
"""Keys that count pages where their value is a number. (Apache's `P=*.gz` is a filter.)"""
_NAMED = frozenset(("after", "start", "offset", "skip"))
"""Those that say where the next page begins by a name, too."""
_PAGING = re.compile(
    "next|start-?after|page(?:[-_]?(?:no|num|number))?|(?:next|continuation|page)?[-_]?(?:token|marker|cursor)"
)
_CONTENT = frozenset(
    ("dir", "directory", "path", "prefix", "folder", "subdir", "subfolder", "file", "filename", "download")
)


def is_next_page(query: str) -> bool:
    """Whether a page with this query is likely to hold further entries."""
    return any(
        _PAGING.fullmatch(key) or (key in _NUMBERED and value.isdigit()) or (key in _NAMED and value != "")
        for key, value in _pairs(query)
    )


def names_content(query: str) -> bool:
    """Whether the query names a file or a folder by itself."""
    return any(key in _CONTENT and value.strip("/.") for key, value in _pairs(query))


def names_in(query: str) -> Iterator[str]:
    """What in the query looks like the name of a file: the ends of paths in its values that have a dot."""
    for _, value in _pairs(query):
        last = value.rpartition("/")[2]
        if "." in last.strip("."):
            yield last


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    for pair in re.split("[&;]", query):
        key, _, value = pair.partition("=")
        yield unquote_plus(key).lower(), unquote_plus(value)
