"""Index pages of web servers: HTML of any kind, and nginx's JSON.

A child of a folder is whatever a link leads to below it, however the page spells the folder, and also where
the page gives its own folder another server's name (a canonical host, http for https): it is asked for at the
server that served the page. Links to the page itself, to folders above it and to other orders of the same
page are none of its children. Any other link is passed over with a reason, for the caller to judge.

A page is input from outside: a name that cannot name an object is refused. Sans-I/O; the crawl calls it in a
thread, for the loop has other answers to read meanwhile.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

from skyhaul_connectors.sources.catalogue.object_names import fault_in_path
from skyhaul_connectors.sources.http.listing.links import Link, LinkPage, html_links, next_links
from skyhaul_connectors.sources.http.listing.paging import is_next_page, names_content, names_in
from skyhaul_connectors.sources.url import HttpUrl, Origin, OtherScheme, spelling_of
from skyhaul_connectors.sources.url_spelling import name_of
from skyhaul_schemas.errors import MalformedAnswer
from skyhaul_schemas.printable import printable

PAGE_CAP = 64 * 1024 * 1024
"""Bytes of one index page: some 500,000 entries as nginx writes them, of about 130 bytes each. Chosen, not
measured."""

QUERY = "a link with a query, which no plan keeps"
ELSEWHERE = "a link to another place than below its folder"
OTHER_SCHEME = "a link that is neither http nor https"
UNREADABLE = "a link that cannot be taken apart"
NO_FILE = "neither a file nor a folder"
"""Reasons as they are shown and counted (`LeftOut.add`): equal words are counted together, so none holds a
name."""
_PLAIN = re.compile(r"[A-Za-z0-9_%~+-][A-Za-z0-9_%~+.-]*/?")
"""A link to a child as most are written: it needs no resolving, since it has no scheme, query or fragment,
and no part that is `.` or `..`."""
_NO_PLACES = frozenset(("about", "blob", "data", "javascript", "mailto", "tel"))
"""Schemes of links that lead to nothing that could be hauled."""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A child. Its texts have no `/` at the end, and some within where a link leads to a deeper folder."""

    name: str
    """Its path below the folder, decoded but for `%2F`."""
    spelling: str
    """The same as it is asked for, percent-encoded."""
    is_folder: bool


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A link or entry that is no child."""

    name: str
    """Of what it leads to."""
    reason: str
    is_folder: bool = False
    always: bool = False
    """It is told of whatever the globs select: its name says nothing of what is behind it."""


@dataclass(slots=True)
class IndexPage:
    """What one page of a folder names.

    Attributes:
        entries: Each child once, in the page's order.
        passed: What is no child.
        next_pages: Where the listing goes on.
        foreign: Other origins under which the page names its own children.
    """

    entries: list[IndexEntry] = field(default_factory=list)
    passed: list[PassedOver] = field(default_factory=list)
    next_pages: list[HttpUrl] = field(default_factory=list)
    foreign: set[Origin] = field(default_factory=set)


def read_index(
    url: HttpUrl, content_type: str, page: bytes, place: str, *, asked: HttpUrl | None = None, link: str = ""
) -> IndexPage:
    """What an index page names.

    Args:
        url: What answered with the page, after redirects.
        content_type: As the answer states it.
        page: The body.
        place: Names the page in messages.
        asked: Where the redirects to `url` began; None: there were none.
        link: The answer's Link header fields.

    Raises:
        MalformedAnswer: It is no index page, or names what no object can be called.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        found = _json_page(page, place)
    elif kind in ("text/html", "application/xhtml+xml"):
        found = _HtmlPage(url, asked or url, place).read(html_links(page, content_type, place))
    else:
        raise MalformedAnswer(
            f"{place}: no index page but {printable(kind) or 'nothing'}; list the objects instead"
        )
    # Of JSON pages, too: in nginx's there is no place for a next page, and in the header there is.
    further = _HtmlPage(url, asked or url, place)
    for target in next_links(link):
        further.follow(target)
    found.next_pages += further.page.next_pages
    return found


def _json_page(page: bytes, place: str) -> IndexPage:
    """nginx: `[{"name": ..., "type": "file"|"directory"|"other", ...}]` (ngx_http_autoindex_module)."""
    try:
        listed = json.loads(page)
    except (ValueError, RecursionError):  # a page from outside may be nested as deep as it likes
        listed = None
    found = IndexPage()
    for item in listed if isinstance(listed, list) else [None]:
        name, kind = (item.get("name"), item.get("type")) if isinstance(item, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(kind, str):
            raise MalformedAnswer(f"{place}: no JSON index as nginx writes it")
        _check_name(name, name, place)
        if "/" in name:
            raise MalformedAnswer(f"{place}: the name {printable(name)!r} holds a slash")
        if kind in ("file", "directory"):
            found.entries.append(IndexEntry(name, spelling_of(name), kind == "directory"))
        else:
            found.passed.append(PassedOver(name, NO_FILE))
    return found


def _check_name(name: str, decoded: str, place: str) -> None:
    # `a%2F..%2Fb` has a harmless name, in which `%2F` stays, and is `a/../b` to a server that decodes first.
    fault = fault_in_path(decoded) or fault_in_path(name)
    if fault:
        raise MalformedAnswer(f"{place}: the name {printable(name)!r} {fault}")


class _HtmlPage:
    """Sorts the links of one page into children, next pages and what is passed over."""

    def __init__(self, url: HttpUrl, asked: HttpUrl, place: str) -> None:
        self._url = url
        self._asked = asked
        self._place = place
        # The page may spell its folder as it was asked for, or as a redirect has it.
        self._folders = {_folder_of(url.path): None, _folder_of(asked.path): None}
        # By spelling and kind: `log` and `log/` are a file and a folder.
        self._entries: dict[tuple[str, bool], IndexEntry] = {}
        self._passed: dict[tuple[str, str], PassedOver] = {}
        self.page = IndexPage()

    def read(self, links: LinkPage) -> IndexPage:
        base = self._url
        if links.base is not None:
            try:
                base = self._url.resolved(links.base)
            except ValueError:
                base = self._url  # as browsers do
        for link in links.links:
            self._take(base, link)
        # A raw view (`x?raw=1`) beside the child itself leaves nothing out.
        taken = {entry.name for entry in self._entries.values()}
        self.page.entries = list(self._entries.values())
        self.page.passed = [passed for passed in self._passed.values() if passed.name not in taken]
        return self.page

    def follow(self, reference: str) -> None:
        """Note a next page. Raises MalformedAnswer for one that is not of this folder."""
        try:
            target: HttpUrl | None = self._url.resolved(reference)
        except ValueError:
            target = None
        self._go_on(target)

    def _take(self, base: HttpUrl, link: Link) -> None:
        # Nearly all links of most pages, and resolving is most of the work. Not below another `<base>`.
        if _PLAIN.fullmatch(link.href) and not link.is_next and base == self._url:
            self._take_child(link.href, link)
            return
        try:
            target = base.resolved(link.href)
        except OtherScheme:
            if link.href.partition(":")[0].lower() not in _NO_PLACES:
                self._pass(_tail(link.href), OTHER_SCHEME)
            return
        except ValueError:
            self._pass(_tail(link.href), UNREADABLE)
            return
        if link.is_next:
            self._go_on(target)
        # Before `_below`: the page's own URL with a query is another view of it, never a child.
        elif target.has_query and self._is_page(target):
            if is_next_page(target.query):
                self._go_on(target)
            elif names_content(target.query):
                self._pass("?" + target.query.partition("=")[0], QUERY, always=True)
            else:
                self._pass_named(target.query)
        elif (rest := self._below(target.path)) is not None:
            if rest.strip("/"):
                self._take_child(rest, link, target)
        # Scripts elsewhere that hand out files; such a link may be all that the page has of a file.
        elif self._pass_named(target.query):
            pass
        elif not self._is_above(target):
            self._pass(_tail(target.path), ELSEWHERE, is_folder=target.path.endswith("/"))

    def _pass_named(self, query: str) -> bool:
        """Whether a query names files (`/get.php?f=a.gz`), which are passed over."""
        names = list(names_in(query))
        for name in names:
            self._pass(name, QUERY)
        return bool(names)

    def _go_on(self, target: HttpUrl | None) -> None:
        # Refused and not left out: a listing that ends here would be a part that looks like the whole.
        if target is None or not self._is_page(target):
            raise MalformedAnswer(
                f"{self._place}: the listing goes on at a page that is not of its folder; list the objects"
                " instead"
            )
        # The page itself, which a pager links, too; a page without a query is the folder, which was asked
        # for.
        if (target.path, target.query) != (self._url.path, self._url.query) and target.has_query:
            self.page.next_pages.append(target)

    def _take_child(self, rest: str, link: Link, target: HttpUrl | None = None) -> None:
        """A link to `rest` below the folder. target: where it leads, if that is not simply there."""
        is_folder = rest.endswith("/") or link.text_is_folder
        spelling = rest.removesuffix("/")
        try:
            name = name_of(spelling)
        except UnicodeDecodeError:
            raise MalformedAnswer(f"{self._place}: the name {printable(spelling)!r} is not UTF-8") from None
        _check_name(name, unquote(spelling), self._place)
        if target is not None and target.has_query:
            self._pass(name, QUERY, is_folder=is_folder)
            return
        # A proxy in front of a server that writes its own name. Asked for where the page came from: neither
        # headers nor the private network are for a host that a page chose.
        if target is not None and target.origin not in (self._url.origin, self._asked.origin):
            self.page.foreign.add(target.origin)
        self._entries.setdefault((spelling, is_folder), IndexEntry(name, spelling, is_folder))

    def _is_page(self, target: HttpUrl) -> bool:
        """Whether `target` is this page, but for its query."""
        own = (self._url.path, self._asked.path, *self._folders)
        return any(_same(target.path, path) for path in own)

    def _is_above(self, target: HttpUrl) -> bool:
        """Whether `target` is a folder that holds this one."""
        # Breadcrumbs lead there. With the slash at its end, `/da` is not above `/data/`.
        above = "/".join(_decoded(target.path if target.path.endswith("/") else f"{target.path}/"))
        return any("/".join(_decoded(folder)).startswith(above) for folder in self._folders)

    def _below(self, path: str) -> str | None:
        """What of `path` lies below this folder; None where it does not."""
        segments = path.split("/")
        for folder in self._folders:
            # By segments, so that `/%64/x` is below `/d/`, and the rest keeps the page's spelling.
            depth = folder.count("/")
            if len(segments) > depth and _same("/".join(segments[:depth]) + "/", folder):
                return "/".join(segments[depth:])
        return None

    def _pass(self, name: str, reason: str, *, is_folder: bool = False, always: bool = False) -> None:
        if name:
            self._passed.setdefault((name, reason), PassedOver(name, reason, is_folder, always))


def _folder_of(path: str) -> str:
    return path[: path.rindex("/") + 1]


def _same(one: str, other: str) -> bool:
    """Whether two paths are one, however they are spelled: segment by segment, decoded."""
    return one == other or [*_decoded(one)] == [*_decoded(other)]


def _decoded(path: str) -> Iterator[str]:
    # Bytes that are no UTF-8 stay apart from each other; `replace` would make equals of them.
    return (unquote(segment, errors="surrogateescape") for segment in path.split("/"))


def _tail(reference: str) -> str:
    """The last name in a path or a link, decoded for people."""
    return unquote(reference.partition("?")[0].partition("#")[0].rstrip("/").rpartition("/")[2])
