"""The meaning of a query in a link to the same index page.

It may lead to a further page of the listing, to another order of the same one, or to something else. There is
no standard: these are names that pagers use. To take a further page for another order loses objects, the
other way round costs a request, so that what looks like paging is followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_plus

_NUMBERED = frozenset(("p", "pg", "paged", "from", "after", "start", "skip", "offset"))
"""Keys that count pages where their value is a number. (Apache's `P=*.gz` is a filter.)"""
_NAMED = frozenset(("after", "start", "offset", "skip"))
"""Those that say where the next page begins by a name, too."""
# Names that mean paging whatever their value is: S3's and other stores' markers and tokens among them.
_PAGING = re.compile(
    "next|start-?after|page(?:[-_]?(?:no|num|number))?|(?:next|continuation|page)?[-_]?(?:token|marker|cursor)"
)
# Scripts that show folders by a query (`?dir=sub`): what lies behind them is not listed, which is told.
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
    # `?dir=.` and `?path=/` are the page itself.
    return any(key in _CONTENT and value.strip("/.") for key, value in _pairs(query))


def names_in(query: str) -> Iterator[str]:
    """Names of files in the query, by their looks: the last parts of its values that have a dot within."""
    for _, value in _pairs(query):
        last = value.rpartition("/")[2]
        if "." in last.strip("."):
            yield last


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    for pair in re.split("[&;]", query):  # Apache writes `?C=N;O=D`
        key, _, value = pair.partition("=")
        yield unquote_plus(key).lower(), unquote_plus(value)
