"""Documents of the job (lists, checksums), from a server or from this machine.

What a server sends goes into a temporary file that nobody else sees.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import replace
from typing import IO

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
from skyhaul_schemas.errors import MalformedAnswer, UsageError
from skyhaul_schemas.job.model import ListedUrls, SourceSpec
from skyhaul_schemas.storage_errors import of_environment, storage_error

SUMS_CAP = 4 * 1024**3
"""Bytes of a checksums file that is fetched: some 40 million objects. Chosen, not measured."""
_START = 1024
"""Bytes in which a page of HTML begins."""
_BLANK = b"\xef\xbb\xbf\t\n\r "
"""What may stand before that: UTF-8's byte order mark and white space, in any order."""


def fetched(source: str, url: HttpUrl, options: HttpOptions, timeouts: Timeouts, cap: int) -> IO[bytes]:
    """The document, at most `cap` bytes, at its start. Blocks.

    Raises:
        CarriageError: It does not come.
        StorageError: The temporary folder cannot hold it.
    """
    # A loop of its own: whoever asks is a thread without one, or one that a loop waits for (`unread_list`).
    thread = LoopThread(f"fetch for {source}")
    try:
        # On disk, for a list may have gigabytes; without a name, for the URLs in it may be signed.
        file = tempfile.TemporaryFile(prefix="skyhaul-")  # noqa: SIM115 -- handed to the caller
        try:
            thread.run(_fetch(source, url, options, timeouts, cap, file))
            file.seek(0)
        except BaseException:
            with contextlib.suppress(OSError):  # buffered bytes may not fit either
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
    # What an attempt that broke off has left.
    file.seek(0)
    file.truncate()

    def write(data: memoryview) -> None:
        # Named here: outside an OSError of the disk is not told from one of the network.
        try:
            file.write(data)
        except OSError as error:
            raise storage_error(error, f"source {source}: the temporary copy of {url} (TMPDIR)") from error

    answer = await documents.get(url, cap=cap, take=write)
    if answer.head.status != 200:
        raise refusal(f"{source}: {url}", answer.head)
    if "html" in (answer.head.text(b"content-type") or "").lower():
        # A log-in page of a captive portal, or one machine's error page sent as a 200. But some servers call
        # all that they have HTML, and lists and checksums never begin like it.
        file.seek(0)
        if file.read(_START).lstrip(_BLANK).startswith(b"<"):
            raise MalformedAnswer(f"{source}: {url}: a page of HTML in the place of a list")


def document_url(what: str, where: str) -> HttpUrl | None:
    """Where a document is, as the job says it; None for a local path.

    Args:
        what: Names it in messages.
        where: The job's text.

    Raises:
        UsageError: It is neither a path nor an http or https URL.
    """
    if SCHEME.match(where) is None:
        return None
    try:
        return parse_url(where)
    except ValueError as error:
        raise UsageError(f"{what}: {error}; write a path or an http or https URL") from None


def document(
    source: str, what: str, where: str, options: HttpOptions, timeouts: Timeouts, cap: int
) -> Document:
    """A document of the job, on this machine or behind a server.

    Args:
        source: The source that it belongs to.
        what: Names it in messages.
        where: A path or a URL, as the job has it.
        options: For a URL: whatever is sent there beside the question.
        timeouts: For a URL.
        cap: Bytes that it may have, behind a server.

    Raises:
        UsageError: `where` is neither.
    """
    url = document_url(what, where)
    if url is None:
        return Document(where, lambda: opened(what, where))
    # Fetched anew at each opening: a list that was signed anew in the meantime serves as well.
    return Document(str(url), lambda: fetched(source, url, options, timeouts, cap))


def checksums_of(
    source: str, spec: SourceSpec, options: HttpOptions, timeouts: Timeouts
) -> LoadChecksums | None:
    """What loads the checksums that the job names for a source, or None; `options` are the source's."""
    if spec.checksums is None:
        return None
    what = f"source {source}: the checksums"
    sent = _sent_for(spec, options, document_url(what, spec.checksums))
    named = document(source, what, spec.checksums, sent, timeouts, SUMS_CAP)

    def load() -> Checksums:
        with named.open() as file:
            return Checksums(named.where, lines_of(file, LINE_CAP))

    return load


def _sent_for(spec: SourceSpec, options: HttpOptions, url: HttpUrl | None) -> HttpOptions:
    """The source's headers go to a checksums URL only where it lies on one of the source's own servers."""
    # `HttpDocuments` takes the document's origin for its own, and would send them anywhere.
    if url is None or url.origin in options.headers_for:
        return options
    texts = [] if isinstance(spec.url, ListedUrls) else [u for u in spec.url if SCHEME.match(u)]
    own = any(parse_url(text).origin == url.origin for text in texts if text.lower().startswith("http"))
    return options if own else replace(options, headers={})
