"""Documents of the job (lists, checksums), behind a server or on this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import IO, Literal

from skyhaul_connectors.sources.catalogue.checksums import LINE_CAP, Checksums, LoadChecksums
from skyhaul_connectors.sources.catalogue.documents import Document, lines_of, opened
from skyhaul_connectors.sources.catalogue.rooted import SCHEME
from skyhaul_connectors.sources.http.options import HttpOptions
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_connectors.sources.url import HttpUrl, parse_url
from skyhaul_schemas.errors import UsageError, ValueRefused
from skyhaul_schemas.job.model import ListedUrls, SourceSpec

DocumentKind = Literal["list", "checksums"]
"""What a document of a source is: the list of its objects, or their digests."""

SUMS_CAP = 4 * 1024**3
"""Bytes of a checksums file that is fetched: some 40 million objects. Chosen, not measured."""


def document_url(source: str, what: DocumentKind, where: str) -> HttpUrl | None:
    """Where a document is, as the job says it; None for a local path.

    Args:
        source: The source that it belongs to.
        what: Which one it is.
        where: The job's text.

    Raises:
        ValueRefused: It has another scheme than http and https.
        UsageError: It is no URL.
    """
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
        where: A path or a URL, as the job has it.
        options: For a URL: whatever is sent there beside the question.
        timeouts: For a URL.
        cap: Bytes that it may have, behind a server.

    Raises:
        UsageError: `where` is neither.
    """
    url = document_url(source, what, where)
    if url is None:
        return Document(where, lambda: opened(f"source {source}: the {what}", where))

    # Fetched anew at each opening: a list that was signed anew in the meantime serves as well.
    def fetched() -> IO[bytes]:
        from skyhaul_connectors.sources.http.fetch import fetched  # with all that speaks HTTP

        return fetched(source, url, options, timeouts, cap)

    return Document(str(url), fetched)


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
    # `HttpDocuments` takes the document's origin for its own, and would send them anywhere.
    if url is None or url.origin in options.headers_for:
        return options
    texts = [] if isinstance(spec.url, ListedUrls) else [u for u in spec.url if SCHEME.match(u)]
    own = any(parse_url(text).origin == url.origin for text in texts if text.lower().startswith("http"))
    return options if own else replace(options, headers={})
