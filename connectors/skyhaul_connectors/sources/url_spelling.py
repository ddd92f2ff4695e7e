"""An object's name, and how it is asked for: two texts, because one name can be spelled in many ways.

The *spelling* is the percent-encoded path below the source's root, as the job or an index page writes it. The
*name* is what the plan calls the object: the spelling decoded, but for `%2F`, which is no separator of parts.
Where `spelling_of` would not spell the name in the same way, the object's locator keeps the spelling:
`./a%2Bb.jsonl`, a relative reference (RFC 3986, section 4.2), so that it holds below another root too.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from skyhaul_connectors.sources.url import HttpUrl, parse_url, spelling_of
from skyhaul_schemas.errors import ObjectMissing
from skyhaul_schemas.plan import KEY, PinnedObject
from skyhaul_schemas.printable import printable

_SLASH = re.compile("%2f", re.IGNORECASE)
_ENCODED = re.compile("%[0-9A-Fa-f]{2}")
_HERE = "./"
"""How a locator begins that holds a spelling. It keeps a first segment with a colon from looking like a
scheme (RFC 3986, section 4.2), and tells a spelling from the URLs that lists' objects have as locators."""
_ASKABLE = re.compile(r"[!-~]+")
"""What a request line can hold: no controls, no spaces, nothing beyond ASCII."""
_ELSEWHERE = ("?", "#")
"""Characters behind which something else than the path would begin."""
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
"""RFC 3986, section 2.3: only of these does encoding change nothing."""


def name_of(spelling: str) -> str:
    """Raises UnicodeDecodeError where the spelling is of no UTF-8."""
    # A slash within a part stays encoded: decoded, `a%2Fb` and `a/b` would be one name of two objects.
    return "%2F".join(unquote(piece, errors="strict") for piece in _SLASH.split(spelling))


def normal_form(spelling: str) -> str:
    """Equal for spellings that mean the same by RFC 3986, section 6.2.2."""

    def normal(match: re.Match[str]) -> str:
        char = chr(int(match[0][1:], 16))
        return char if char in _UNRESERVED else match[0].upper()

    return _ENCODED.sub(normal, spelling)


def locator_of(name: str, spelling: str) -> str | None:
    """What a plan keeps of the spelling: nothing where the name tells it."""
    return None if spelling == spelling_of(name) else f"{_HERE}{spelling}"


def url_below(root: HttpUrl, obj: PinnedObject) -> HttpUrl:
    """Where `obj` is asked for below `root`, which may be another than the one it was listed below.

    Raises:
        ObjectMissing: A key, or a locator that cannot stand in a request: a plan may come from anyone."""
    refuse_key(obj)
    locator = obj.locator or ""
    if not locator.startswith(_HERE):
        return root.spelled_below(_spelling_in(locator, obj.path) or spelling_of(obj.path))
    spelling = locator.removeprefix(_HERE)
    if not _is_below(spelling):
        raise ObjectMissing(f"{obj.source}: {printable(obj.path)!r}: the plan's locator cannot be used")
    return root.spelled_below(spelling)


def refuse_key(obj: PinnedObject) -> None:
    """Raises ObjectMissing for an object that only a store of keys has."""
    if obj.locator == KEY:
        raise ObjectMissing(f"{obj.source}: {printable(obj.path)!r} is a key of a store, and no path here")


def _is_below(spelling: str) -> bool:
    leads_out = any(part in ("", ".", "..") for part in spelling.split("/"))
    elsewhere = any(c in spelling for c in _ELSEWHERE)
    return not leads_out and not elsewhere and _ASKABLE.fullmatch(spelling) is not None


def _spelling_in(url: str, path: str) -> str | None:
    """How a listed URL, the locator of an object, spells its `path`; None where it has another one."""
    # Only where it spells this very path: an object of a list may have any path, whatever its URL.
    try:
        spelling = parse_url(url).path.lstrip("/")
        return spelling if _is_below(spelling) and unquote(spelling, errors="strict") == path else None
    except ValueError:
        return None
