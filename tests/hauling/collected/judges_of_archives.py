"""tarfile and warcio as judges of archives."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from tests.hauling.collected.unpacking import Corrupt, unpacked
from tests.hauling.collected.verdict import Verdict, gave_up
from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed
from warcio.recordloader import ArcWarcRecord

_TEXT = ("text/html", "text/plain", "application/xhtml+xml")


def tar(path: Path) -> Verdict:
    """Records are regular files with bytes in them; archives that are joined are read on."""
    try:
        with tarfile.open(fileobj=io.BytesIO(unpacked(path)), ignore_zeros=True) as archive:
            files = [member.isfile() and member.size > 0 for member in archive]
    except (tarfile.TarError, Corrupt):
        return gave_up("tarfile")
    return Verdict("tarfile", sum(files), passed=len(files) - sum(files))


def web(path: Path) -> Verdict:
    """Records are documents: HTML and plain text of responses that succeeded, conversions and resources."""
    # warcio undoes gzip itself, which it wants by record, and knows no lz4.
    raw = unpacked(path) if path.suffix == ".lz4" else path.read_bytes()
    try:
        documents = [_is_document(record) for record in ArchiveIterator(io.BytesIO(raw), arc2warc=True)]
    except ArchiveLoadFailed:
        return gave_up("warcio")
    return Verdict("warcio", sum(documents), passed=len(documents) - sum(documents))


def _is_document(record: ArcWarcRecord) -> bool:
    if record.rec_type == "response":
        http = record.http_headers
        if http is None or not http.get_statuscode().startswith("2"):
            return False
        return _is_text(http.get_header("Content-Type"))
    return record.rec_type in ("conversion", "resource") and _is_text(record.content_type)


def _is_text(content_type: str | None) -> bool:
    return (content_type or "").partition(";")[0].strip().lower() in _TEXT
