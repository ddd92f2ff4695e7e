"""How an object behind HTTP is pinned: by its strong ETag, else by Last-Modified, always by size.

That an object has no bytes is believed of no head, and of no refusal of a range: only of a GET whose whole
body has come, and was empty. That `a.parquet` is a page of HTML is believed where the server keeps to it:
what one machine of many shows in its trouble has a size too, and would be hauled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from skyhaul_connectors.sources.catalogue.blocking import tried
from skyhaul_connectors.sources.http.documents import Answer, HttpDocuments
from skyhaul_connectors.sources.http.response.head import AnswerHead
from skyhaul_connectors.sources.http.response.validation import encoded, encoding_in, refusal
from skyhaul_connectors.sources.url import HttpUrl
from skyhaul_schemas.errors import (
    ConnectionLost,
    MalformedAnswer,
    ObjectMissing,
    RangeRefused,
    ServerBusy,
    ServerError,
)

_STRONG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
"""An `entity-tag` without `W/` (RFC 9110, section 8.8.3). One without quotes, which is none, is passed
over."""
_TOTAL = re.compile(rb"bytes +(?:0-0|\*)/(\d{1,18})", re.IGNORECASE)
_BUSY = (429, 503)
"""Answers by which a server asks for a pause; a GET right behind would go against that."""

_PAGES = frozenset(("text/html", "application/xhtml+xml"))
_SUFFIX = re.compile(r"\.(?=[0-9]*[A-Za-z])([A-Za-z0-9]{1,8})")
"""A suffix that says what a file is has a letter in it: that of `v1.0` is none."""
_OF_PAGES = frozenset(
    (
        "html",
        "htm",
        "xhtml",
        "xht",
        "shtml",
        "php",
        "phtml",
        "asp",
        "aspx",
        "jsp",
        "cgi",
        "pl",
        "py",
        "cfm",
        "do",
    )
)
"""Suffixes in URLs of pages."""


@dataclass(frozen=True, slots=True)
class Pin:
    """Size in bytes, and `version` as `PinnedObject` has it: empty where the server states no validator."""

    size: int
    version: str


class _PageInstead(MalformedAnswer):
    """HTML where the name says something else. `pinned` is the page's."""

    def __init__(self, place: str, pinned: Pin) -> None:
        super().__init__(f"{place}: a page of HTML")
        self.pinned = pinned


def version_in(head: AnswerHead) -> str:
    """The validator as `PinnedObject` has it; empty where there is none.

    A weak ETag says that two versions are about the same (RFC 9110, section 8.8.1), which is not enough for
    bytes.
    """
    # A time has whole seconds, and two versions within one second have the same: better than nothing, and the
    # size is compared too.
    etag = head.text(b"etag")
    if etag is not None and _STRONG.fullmatch(etag.strip()):
        return f"etag:{etag.strip()}"
    modified = head.text(b"last-modified")
    if modified is not None and modified.strip():
        return f"lm:{modified.strip()}"
    return ""


async def pin(documents: HttpDocuments, url: HttpUrl, place: str) -> Pin:
    """Asks by HEAD, and for the first byte where HEAD states no size or a size of 0. Raises CarriageError."""
    # As many tries as an odd answer is given; a page that is there each time is what the server has.
    try:
        return await tried(documents.doubts, _pin, documents, url, place)
    except _PageInstead as always:
        return always.pinned


async def _pin(documents: HttpDocuments, url: HttpUrl, place: str) -> Pin:
    """Pin by HEAD, which is a short way and no verdict.

    Servers, and signed URLs made for GET, refuse it alone, some with 404 or 500, some hang up on it, and some
    send a body that it must not have.
    """
    try:
        answer = await documents.head(url)
    except (MalformedAnswer, ConnectionLost):
        return await _pin_by_first_byte(documents, url, place)
    head = answer.head
    if head.status == 200 and head.length:
        _check_folder(url, answer, place)
        _check_encoding(documents, head, place)
        return _believed(url, head, head.length, place)
    if head.status in _BUSY:
        raise _refused(place, answer)
    return await _pin_by_first_byte(documents, url, place)


async def _pin_by_first_byte(documents: HttpDocuments, url: HttpUrl, place: str) -> Pin:
    # Of an object without a byte this range cannot be satisfied (RFC 9110, section 14.1.2).
    answer = await documents.first_byte(url, "Range: bytes=0-0\r\n")
    if answer.head.status == 416:
        # No byte is there, says the server, or ranges are not to its taste.
        # All of it is asked for; after a byte the connection is dropped, with what is on its way.
        answer = await documents.first_byte(url)
    head = answer.head
    if head.status not in (200, 206):
        raise _refused(place, answer)
    _check_folder(url, answer, place)
    _check_encoding(documents, head, place)
    total = _TOTAL.fullmatch(head.fields.get(b"content-range", b"").strip())
    if head.status == 206 and total is not None:
        if not answer.body or not int(total[1]):
            raise MalformedAnswer(f"{place}: the server answers for the first byte, and sends none")
        return _believed(url, head, int(total[1]), place)
    if head.status == 200 and head.length and answer.body:
        return _believed(url, head, head.length, place)
    # Not a body that lasts until the connection ends: one without a byte may have been cut before the first.
    if head.status == 200 and answer.whole and not answer.body and (head.length == 0 or head.chunked):
        return Pin(0, version_in(head))
    raise RangeRefused(f"{place}: the server does not state the object's size")


def _believed(url: HttpUrl, head: AnswerHead, size: int, place: str) -> Pin:
    """Raises _PageInstead."""
    pinned = Pin(size, version_in(head))
    suffix = _SUFFIX.fullmatch(PurePosixPath(url.path).suffix)
    # A path that ends otherwise says nothing of what is there: `/download` may be a page.
    if _is_page(head) and suffix is not None and suffix[1].lower() not in _OF_PAGES:
        raise _PageInstead(place, pinned)
    return pinned


def _is_page(head: AnswerHead) -> bool:
    return (head.text(b"content-type") or "").partition(";")[0].strip().lower() in _PAGES


def _check_folder(url: HttpUrl, answer: Answer, place: str) -> None:
    """Servers lead from a folder's name to its index page, which is no object."""
    # As Apache's mod_dir and nginx do where a folder is asked for without its slash.
    if answer.url.path == f"{url.path}/" and _is_page(answer.head):
        raise ObjectMissing(f"{place}: a folder; write {url}/** for what lies below it")


def _check_encoding(documents: HttpDocuments, head: AnswerHead, place: str) -> None:
    encoding = None if documents.options.stored else encoding_in(head)
    if encoding is not None:
        raise encoded(place, encoding)


def _refused(place: str, answer: Answer) -> Exception:
    error = refusal(place, answer.head)
    return (
        error
        if isinstance(error, ServerBusy | ServerError) or answer.head.status >= 400
        else RangeRefused(f"{place}: answered with status {answer.head.status}")
    )
