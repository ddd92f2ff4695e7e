"""A document of the job (a list, checksums) from a server, into a temporary file that nobody else sees."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from typing import IO

from skyhaul_connectors.sources.catalogue.blocking import tried
from skyhaul_connectors.sources.catalogue.loop_thread import LoopThread
from skyhaul_connectors.sources.http.documents import HttpDocuments
from skyhaul_connectors.sources.http.network import Network
from skyhaul_connectors.sources.http.options import HttpOptions
from skyhaul_connectors.sources.http.response.validation import refusal
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_connectors.sources.url import HttpUrl
from skyhaul_schemas.errors import MalformedAnswer, UsageError
from skyhaul_schemas.printable import printable
from skyhaul_schemas.storage_errors import of_environment, storage_error, unusable

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


def opened(what: str, path: str) -> IO[bytes]:
    """A local document, a file: a pipe could be read only once, and might never end. Raises UsageError."""
    what = f"{what} {printable(path)!r} cannot be read"
    try:
        # Without O_NONBLOCK the opening of a pipe that nobody writes to would not end.
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    except OSError as error:
        raise unusable(error, what) from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise UsageError(f"{what}: it is a pipe or a device, not a file")
    return file


def lines_of(file: IO[bytes], cap: int) -> Iterator[bytes]:
    """Lines with their ends. One longer than `cap` comes as its first `cap` + 1 bytes, so that whoever
    checks its length sees that it is too long."""
    while line := file.readline(cap + 1):
        yield line
