"""Documents of the job (lists, checksums): from a server into a temporary file that nobody else sees, or from
this machine."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import replace
from typing import IO, Literal

from skyhaul_connectors.sources.catalogue.blocking import tried
from skyhaul_connectors.sources.catalogue.checksums import LINE_CAP, Checksums, LoadChecksums
from skyhaul_connectors.sources.catalogue.documents import Document, lines_of, opened
from skyhaul_connectors.sources.catalogue.loop_thread import LoopThread
from skyhaul_connectors.sources.catalogue.rooted import SCHEME
from skyhaul_connectors.sources.http.documents import HttpDocuments
from skyhaul_connectors.sources.http.network import Network
from skyhaul_connectors.sources.http.options import HttpOptions
from skyhaul_connectors.sources.http.response.validation import refusal
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_connectors.sources.url import HttpUrl, parse_url
from skyhaul_schemas.errors import MalformedAnswer, UsageError, ValueRefused
from skyhaul_schemas.job.model import ListedUrls, SourceSpec
from skyhaul_schemas.storage_errors import of_environment, storage_error

DocumentKind = Literal["list", "checksums"]
"""What a document of a source is: the list of its objects, or their digests."""

SUMS_CAP = 4 * 1024**3
"""Bytes of a checksums file that is fetched: some 40 million objects. Chosen, not measured."""
_START = 1024
"""Bytes in which a page of HTML begins."""
_BLANK = b"\xef\xbb\xbf\t\n\r "


def fetched(source: str, url: HttpUrl, options: HttpOptions, timeouts: Timeouts, cap: int) -> IO[bytes]:
    """The document, at most `cap` bytes. Blocks. Raises CarriageError."""
    thread = LoopThread(f"fetch for {source}")
    try:
        file = tempfile.TemporaryFile(prefix="skyhaul-")  # noqa: SIM115 -- handed to the caller
        try:
            thread.run(_fetch(source, url, options, timeouts, cap, file))
            file.seek(0)
        except BaseException:
            with contextlib.suppress(OSError):  # what is buffered may not fit either
                file.close()
            raise
    except OSError as error:
        found = of_environment(error)
        if found is None:
            raise
        raise storage_error(error, f"source {source}: the temporary copy of {url} (TMPDIR)") from error
    finally:
        thread.close()
    return file


async def _fetch(
    source: str, url: HttpUrl, options: HttpOptions, timeouts: Timeouts, cap: int, file: IO[bytes]
) -> None:
    documents = HttpDocuments(Network(source, timeouts), options, frozenset([url.origin]))
    try:
        await tried(documents.doubts, _once, documents, source, url, cap, file)
    finally:
        await documents.close()


async def _once(documents: HttpDocuments, source: str, url: HttpUrl, cap: int, file: IO[bytes]) -> None:
    file.seek(0)
    file.truncate()

    def write(data: memoryview) -> None:
        try:
            file.write(data)
        except OSError as error:
            raise storage_error(error, f"source {source}: the temporary copy of {url} (TMPDIR)") from error

    answer = await documents.get(url, cap=cap, take=write)
    if answer.head.status != 200:
        raise refusal(f"{source}: {url}", answer.head)
    if "html" in (answer.head.text(b"content-type") or "").lower():
        # Some servers call all that they have HTML; lists and checksums never begin like it.
        file.seek(0)
        if file.read(_START).lstrip(_BLANK).startswith(b"<"):
            raise MalformedAnswer(f"{source}: {url}: a page of HTML in the place of a list")


def document_url(source: str, what: DocumentKind, where: str) -> HttpUrl | None:
    """Where a document is, as the job says it; None for a local path. Raises UsageError for anything else."""
    match = SCHEME.match(where)
    if match is None:
        return None
    try:
        return parse_url(where)
    except ValueError as error:
        allowed = "a path or an http or https URL"
        said = f"source {source}: the {what}: {error}; write {allowed}"
        if match[1].lower() in ("http", "https"):
            raise UsageError(said) from None
        key = ("url", "list") if what == "list" else (what,)
        raise ValueRefused(said, ("sources", source, *key), match[1], allowed, ("http", "https")) from None


def document(
    source: str, what: DocumentKind, where: str, options: HttpOptions, timeouts: Timeouts, cap: int
) -> Document:
    """A document of the job, on this machine or behind a server.

    Args:
        source: The source that it belongs to.
        what: Which one it is.
        where: A path or an URL, as the job has it.
        options: For an URL: whatever is sent there beside the question.
        timeouts: For an URL.
        cap: Bytes that it may have, behind a server.

    Raises:
        UsageError: `where` is neither.
    """
    url = document_url(source, what, where)
    if url is None:
        return Document(where, lambda: opened(f"source {source}: the {what}", where))
    return Document(str(url), lambda: fetched(source, url, options, timeouts, cap))


def checksums_of(
    source: str, spec: SourceSpec, options: HttpOptions, timeouts: Timeouts
) -> LoadChecksums | None:
    """What loads the checksums that the job names for a source, or None; `options` are the source's."""
    if spec.checksums is None:
        return None
    sent = _sent_for(spec, options, document_url(source, "checksums", spec.checksums))
    named = document(source, "checksums", spec.checksums, sent, timeouts, SUMS_CAP)

    def load() -> Checksums:
        with named.open() as file:
            return Checksums(named.where, lines_of(file, LINE_CAP))

    return load


def _sent_for(spec: SourceSpec, options: HttpOptions, url: HttpUrl | None) -> HttpOptions:
    """The source's headers go to a checksums URL only where it lies on one of the source's own servers."""
    if url is None or url.origin in options.headers_for:
        return options
    texts = [] if isinstance(spec.url, ListedUrls) else [u for u in spec.url if SCHEME.match(u)]
    own = any(parse_url(text).origin == url.origin for text in texts if text.lower().startswith("http"))
    return options if own else replace(options, headers={})
