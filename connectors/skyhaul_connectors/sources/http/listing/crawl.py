"""A walk over index pages: a few crawlers, each in a folder of its own, only where something can match.

What is found is asked for as the pages spell it. A name that is found again is taken once; where it is then
spelled so that it may mean another object, the listing ends. What is passed over, and would be selected if it
were a child, is told as left out.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace

from skyhaul_connectors.sources.catalogue.blocking import tried
from skyhaul_connectors.sources.catalogue.globs import Selection, States
from skyhaul_connectors.sources.http.documents import Answer, HttpDocuments
from skyhaul_connectors.sources.http.listing.autoindex import (
    PAGE_CAP,
    IndexEntry,
    IndexPage,
    PassedOver,
    read_index,
)
from skyhaul_connectors.sources.http.listing.pinning import Finder, Found
from skyhaul_connectors.sources.http.response.validation import refusal
from skyhaul_connectors.sources.left_out import HIDDEN, LeftOut
from skyhaul_connectors.sources.url import HttpUrl, Origin
from skyhaul_connectors.sources.url_spelling import locator_of, normal_form
from skyhaul_schemas.errors import ConnectionLost, MalformedAnswer, ObjectMissing
from skyhaul_schemas.printable import printable

NOTHING = "a folder whose index page names nothing"

_log = logging.getLogger(__name__)

_CRAWLERS = 4
"""Folders that are read at a time, beside the `connections` that pin: one page names many objects, so that a
few readers keep the pins busy. Chosen, not measured."""
_DEPTH_CAP = 64
"""Folders within folders: beyond that a server's links lead in a circle (`d/` within `d/`). Chosen."""
_PAGES_CAP = 10_000
"""Pages of one folder. Chosen, not measured."""
_STALE_CAP = 16
"""Pages of one folder with no other entries than pages before: a listing that comes to no end. Some are
borne, for a pager may link pages that overlap, or are empty."""


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder that is to be read.

    Attributes:
        name: Below the root, with `/` at the end unless it is empty.
        spelling: The same as it is asked for.
        states: What the globs may still match in it.
    """

    name: str
    spelling: str
    states: States


class Crawl(Finder):
    """Objects below a root that globs take. May be walked once; close it afterwards."""

    def __init__(
        self,
        source: str,
        documents: HttpDocuments,
        root: HttpUrl,
        globs: Selection,
        exact: Mapping[str, str],
        left_out: LeftOut,
    ) -> None:
        """For one loop.

        Args:
            source: Its name, for messages.
            documents: Asks the server.
            root: The folder that names are relative to.
            globs: What to find.
            exact: Name -> spelling of objects that are taken already.
            left_out: Told of names that the pages have and that are no objects.
        """
        self._source = source
        self._documents = documents
        self._root = root
        self._globs = globs
        self._left_out = left_out
        self._found = _Spellings(source)
        for name, spelling in exact.items():
            self._found.add(name, spelling)
        self._foreign: set[Origin] = set()
        self._folders: list[_Folder] = []
        self._busy = 0
        self._change = asyncio.Condition()

    def close(self) -> None:
        self._found.close()

    async def find(self, out: asyncio.Queue[Found | None]) -> None:
        # A job of exact URLs alone needs no index page, and its server may have none.
        if not self._globs.patterns:
            return
        self._folders.append(_Folder("", "", self._globs.start()))
        async with asyncio.TaskGroup() as crawlers:
            for _ in range(_CRAWLERS):
                crawlers.create_task(self._crawl(out))

    async def _crawl(self, out: asyncio.Queue[Found | None]) -> None:
        while True:
            async with self._change:
                # The end is that none waits and none is being read: one that is read may find others.
                await self._change.wait_for(lambda: self._folders or not self._busy)
                if not self._folders:
                    return
                # The last one found: depth first, so that few folders wait, however wide the tree is.
                folder = self._folders.pop()
                self._busy += 1
            try:
                await self._visit(folder, out)
            finally:
                # All: this may have been the last one, which ends every crawler.
                async with self._change:
                    self._busy -= 1
                    self._change.notify_all()

    async def _visit(self, folder: _Folder, out: asyncio.Queue[Found | None]) -> None:
        if folder.name.count("/") > _DEPTH_CAP:
            raise MalformedAnswer(
                f"{self._source}: index pages over {_DEPTH_CAP} folders deep at"
                f" {printable(folder.name[:200])!r}"
            )
        # At the root's server, whatever redirects or links an earlier page came by.
        url = self._root.spelled_below(folder.spelling)
        due = [url]
        known = {url.query}
        seen: set[bytes] = set()
        stale = named = 0
        while due:
            page = await self._page(due.pop(0), url)
            # What is passed over is something named, too: the page works, and has nothing for us.
            named += len(page.entries) + len(page.passed)
            for entry in page.entries:
                await self._take(folder, entry, out)
            for passed in page.passed:
                self._leave_out(folder, passed)
            self._tell_foreign(page.foreign)
            stale += not _is_new(page, seen)
            for target in page.next_pages:
                if target.query not in known:
                    known.add(target.query)
                    due.append(self._next_page(url, target))
            if due and (stale > _STALE_CAP or len(known) > _PAGES_CAP):
                raise MalformedAnswer(
                    f"{self._source}: {url}: an index page that goes on and on; list the objects instead"
                )
        if not named:
            self._left_out.add(folder.name or "/", NOTHING)

    def _next_page(self, folder: HttpUrl, target: HttpUrl) -> HttpUrl:
        """The URL of a next page: of the folder itself, whatever server and spelling the link names."""
        return replace(folder, query=target.query, bare=target.bare)

    async def _take(self, folder: _Folder, entry: IndexEntry, out: asyncio.Queue[Found | None]) -> None:
        name, spelling = folder.name + entry.name, folder.spelling + entry.spelling
        states = self._inside(folder.states, entry.name)
        last = entry.name.rpartition("/")[2]
        if entry.is_folder:
            inside = self._globs.enter(states, last)
            # Noted with a slash at its end, so that a file of the same name is another entry.
            if not inside and self._hides(folder.states, entry) and self._found.add(f"{name}/", spelling):
                self._left_out.add(name, HIDDEN)
            elif inside and self._found.add(f"{name}/", spelling):
                async with self._change:
                    self._folders.append(_Folder(f"{name}/", f"{spelling}/", inside))
                    self._change.notify()
        elif self._globs.takes(states, last) and self._found.add(name, spelling):
            url = self._root.spelled_below(spelling)
            # Waits while the pins are behind: the queue is what bounds the walk.
            await out.put(Found(name, url, locator=locator_of(name, spelling)))
        elif self._hides(folder.states, entry) and self._found.add(name, spelling):
            self._left_out.add(name, HIDDEN)

    def _hides(self, states: States, entry: IndexEntry) -> bool:
        """Whether nothing but a dot at the start of a name keeps the child, or a folder it is in, out."""
        # The first hidden part decides; behind it nothing is entered.
        *folders, last = entry.name.split("/")
        for part in folders:
            if self._globs.hides_folder(states, part):
                return True
            states = self._globs.enter(states, part)
        return self._globs.hides_folder(states, last) if entry.is_folder else self._globs.hides(states, last)

    def _inside(self, states: States, path: str) -> States:
        """The states in the folder that holds `path`, which a link may name over several folders."""
        for part in path.split("/")[:-1]:
            states = self._globs.enter(states, part)
        return states

    def _leave_out(self, folder: _Folder, passed: PassedOver) -> None:
        states = self._inside(folder.states, passed.name)
        last = passed.name.rpartition("/")[2]
        selected = self._globs.enter(states, last) if passed.is_folder else self._globs.takes(states, last)
        # A page is full of links to elsewhere; only what a user would miss is told.
        if passed.always or selected:
            self._left_out.add(folder.name + passed.name, passed.reason)

    def _tell_foreign(self, origins: set[Origin]) -> None:
        for origin in sorted(origins - self._foreign, key=str):
            self._foreign.add(origin)
            _log.warning(
                "source %s: index pages name its objects at %s; they are asked for at %s",
                self._source,
                origin,
                self._root.origin,
            )

    async def _page(self, url: HttpUrl, folder: HttpUrl) -> IndexPage:
        place = f"{self._source}: {url}"
        page = await tried(self._documents.doubts, self._read_page, url, folder, place)
        if not page.entries:
            # A page that names nothing is a claim that a second answer may not bear out; a whole subtree
            # would be missing without a word.
            page = await tried(self._documents.doubts, self._read_page, url, folder, place)
        return page

    async def _read_page(self, url: HttpUrl, folder: HttpUrl, place: str) -> IndexPage:
        page = bytearray()
        # All of it in memory: links are found in a tree of the whole page.
        answer = await self._documents.get(url, cap=PAGE_CAP, take=page.extend)
        if answer.head.status != 200:
            error = refusal(place, answer.head)
            if isinstance(error, ObjectMissing):
                raise ObjectMissing(
                    f"{place}: no index page ({answer.head.status}); list the objects instead"
                )
            raise error
        _check_whole(answer, page, place)
        kind = answer.head.text(b"content-type") or ""
        link = answer.head.text(b"link") or ""
        # `answer.url` may be below the folder (`index.html`) or elsewhere; `asked` tells the page's own
        # folder.
        return await asyncio.to_thread(
            read_index, answer.url, kind, bytes(page), place, asked=folder, link=link
        )


def _check_whole(answer: Answer, page: bytearray, place: str) -> None:
    """An answer that only the end of the connection ends may have been cut short."""
    states_end = answer.head.states_end
    if not page and states_end:
        raise MalformedAnswer(f"{place}: an index page without a byte; list the objects instead")
    # HTML says where it ends, where it has a frame at all; bare fragments are taken as they are.
    lower = bytes(page).lower() if not states_end else b"<html></html>"
    if not page or (b"<html" in lower and b"</html" not in lower):
        raise ConnectionLost(f"{place}: the index page ends before its end")


def _is_new(page: IndexPage, seen: set[bytes]) -> bool:
    """Whether no earlier page of the folder had the same entries; a page without any has none of its own."""
    digest = hashlib.blake2b(digest_size=16)
    for spelling, is_folder in sorted((entry.spelling, entry.is_folder) for entry in page.entries):
        digest.update(f"{spelling}\n{is_folder}\n".encode())
    before = len(seen)
    if page.entries:
        seen.add(digest.digest())
    return len(seen) > before


class _Spellings:
    """Names that are found, each with the meaning of its spelling.

    They lie in a temporary SQLite database, which spills to disk by itself.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._rows = sqlite3.connect("", check_same_thread=False)
        self._rows.execute("CREATE TABLE found (name BLOB PRIMARY KEY, spelling BLOB) WITHOUT ROWID")

    def add(self, name: str, spelling: str) -> bool:
        """False where the name is there. Raises MalformedAnswer where it may mean another object."""
        # Digests, so that a row has 32 bytes whatever names are like; 128 bits have no twins by chance.
        key, value = _digest(name), _digest(normal_form(spelling))
        if self._rows.execute("INSERT OR IGNORE INTO found VALUES (?, ?)", (key, value)).rowcount:
            return True
        (known,) = self._rows.execute("SELECT spelling FROM found WHERE name = ?", (key,)).fetchone()
        if known != value:
            raise MalformedAnswer(
                f"{self._source}: two links that may be two objects have the name"
                f" {printable(name)[:200]!r}, one of them spelled {printable(spelling)[:200]!r};"
                " list the objects, each with a path of its own"
            )
        return False

    def close(self) -> None:
        self._rows.close()


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
