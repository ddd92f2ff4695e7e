"""A document of the job (a list, checksums) from a server into a temporary file that nobody else sees."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from typing import IO

from skyhaul_connectors.sources.catalogue.blocking import tried
from skyhaul_connectors.sources.catalogue.loop_thread import LoopThread
from skyhaul_connectors.sources.http.documents import HttpDocuments
from skyhaul_connectors.sources.http.network import Network
from skyhaul_connectors.sources.http.options import HttpOptions
from skyhaul_connectors.sources.http.response.validation import refusal
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_connectors.sources.url import HttpUrl
from skyhaul_schemas.errors import ConnectionLost, MalformedAnswer
from skyhaul_schemas.storage_errors import of_environment, storage_error

_BLOCK = 1 << 20
"""Bytes that are read back at once. Chosen, not measured."""
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
    if not answer.head.states_end:
        await _prove(documents, source, url, cap, file)
    if "html" in (answer.head.text(b"content-type") or "").lower():
        # A log-in page of a captive portal, or one machine's error page sent as a 200. But some servers call
        # all that they have HTML, and lists and checksums never begin like it.
        file.seek(0)
        if file.read(_START).lstrip(_BLANK).startswith(b"<"):
            raise MalformedAnswer(f"{source}: {url}: a page of HTML in the place of a list")


async def _prove(documents: HttpDocuments, source: str, url: HttpUrl, cap: int, file: IO[bytes]) -> None:
    """Hold what came against a second answer, where only the end of the connection ended the first.

    A connection that was lost looks just so, and a list that is cut between two lines is a list.

    Raises:
        ConnectionLost: The second one is another."""
    file.seek(0)
    first, again = hashlib.sha256(), hashlib.sha256()
    while block := file.read(_BLOCK):
        first.update(block)
    answer = await documents.get(url, cap=cap, take=again.update)
    if answer.head.status != 200 or again.digest() != first.digest():
        raise ConnectionLost(
            f"{source}: {url}: the server does not state how long it is, and two answers differ"
        )
