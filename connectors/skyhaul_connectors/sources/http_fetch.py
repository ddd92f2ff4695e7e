"""A document of the job (a list, checksums) from a server, into a temporary file that nobody else sees."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO

from skyhaul_connectors.sources.blocking import tried
from skyhaul_connectors.sources.http_documents import HttpDocuments
from skyhaul_connectors.sources.http_judge import refusal
from skyhaul_connectors.sources.http_network import Network
from skyhaul_connectors.sources.http_options import HttpOptions
from skyhaul_connectors.sources.http_url import HttpUrl
from skyhaul_connectors.sources.loop_thread import LoopThread
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.errors import SkyhaulError, UsageError
from skyhaul_schemas.printable import printable


def fetched(source: str, url: HttpUrl, options: HttpOptions, timeouts: Timeouts, cap: int) -> IO[bytes]:
    """The document, at most `cap` bytes. Blocks. Raises CarriageError."""
    thread = LoopThread(f"fetch for {source}")
    file = tempfile.TemporaryFile(prefix="skyhaul-")  # noqa: SIM115 -- handed to the caller
    try:
        thread.run(_fetch(source, url, options, timeouts, cap, file))
    except SkyhaulError:
        file.close()
        raise
    finally:
        thread.close()
    file.seek(0)
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
        file.write(data)

    answer = await documents.get(url, cap=cap, take=write)
    if answer.head.status != 200:
        raise refusal(f"{source}: {url}", answer.head)


def opened(what: str, path: str) -> IO[bytes]:
    """A local document. Raises UsageError."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise UsageError(f"{what} {printable(path)!r} cannot be read: {error.strerror}") from None


def lines_of(file: IO[bytes], cap: int) -> Iterator[bytes]:
    """Lines with their ends. One longer than `cap` comes as its first `cap` + 1 bytes, so that whoever
    checks its length sees that it is too long."""
    while line := file.readline(cap + 1):
        yield line
