"""Whether an answer is exactly what was asked: status, range, total, encoding, validators.

Only a 206 with just the asked range counts; a 200 does where the range is the whole object (or the asker
takes the range out of it, from a server that ignores ranges) and the length says so too. A weak ETag never
equals a strong one, and a validator that the plan pinned must be in the answer: If-Match alone proves
nothing towards a server that does not know it.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from skyhaul_connectors.sources import clock_skew
from skyhaul_connectors.sources.http.response.head import AnswerHead
from skyhaul_schemas.errors import (
    AccessRefused,
    CarriageError,
    MalformedAnswer,
    ObjectMissing,
    RangeRefused,
    RangesIgnored,
    ServerBusy,
    ServerError,
    SourceChanged,
)
from skyhaul_schemas.plan import PinnedObject
from skyhaul_schemas.printable import printable

REDIRECTS = frozenset((301, 302, 303, 307, 308))
"""Those that a GET follows by Location (RFC 9110, section 15.4): neither 300, a choice, nor 304, which
answers a condition that is never sent, nor 305, a proxy of the server's choosing."""
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""What no header's value may hold (RFC 9110, section 5.5); a tab may stand there."""
RETRY_AFTER_CAP = 86_400.0
"""Seconds: no server is waited for longer than a day."""
SKIPPED_CAP = 256 * 1024 * 1024
"""Bytes before a range that are let go by where a server sends all of the object: beyond that, an object that
is cut into many chunks would cross the link many times. Chosen, not measured."""

_CONTENT_RANGE = re.compile(rb"bytes +(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.IGNORECASE)
_UNSATISFIED = re.compile(rb"bytes +\*/(\d{1,18})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class WantedRange:
    """The range of one request on the wire.

    Attributes:
        object: As the plan pinned it.
        offset: Of the first byte in the object.
        length: Bytes; at least 1.
        whole: A 200 with all of the object will do.
        stored: Objects are wanted as they are stored, whatever Content-Encoding their answers state.
    """

    object: PinnedObject
    offset: int
    length: int
    whole: bool = False
    stored: bool = False

    @property
    def place(self) -> str:
        return f"{self.object.source}: {printable(self.object.path)!r} at {self.offset}"


def validator_of(obj: PinnedObject) -> tuple[bytes, bytes] | None:
    """(name of the field in an answer, value) that pins the object over HTTP, or None."""
    # Back into the bytes that `AnswerHead.text` made text of when the object was pinned.
    kind, _, value = obj.version.partition(":")
    if kind == "etag":
        return b"etag", value.encode("latin-1", "replace")
    if kind == "lm":
        return b"last-modified", value.encode("latin-1", "replace")
    if kind == "vid":
        return b"x-amz-version-id", value.encode("latin-1", "replace")
    return None


def check_version(obj: PinnedObject) -> None:
    """Refuse a pinned version that would end its header line and begin others: a plan may come from anyone.

    Raises:
        ObjectMissing: The version cannot stand in a request.
    """
    pinned = validator_of(obj)
    if pinned is not None and _CONTROLS.search(pinned[1]) is not None:
        raise ObjectMissing(f"{obj.source}: {printable(obj.path)!r}: the plan's version cannot be used")


def validate_answer(asked: WantedRange, head: AnswerHead) -> CarriageError | None:
    """None where the answer to a range request is right so far; its body must have `asked.length` bytes."""
    if head.status == 206:
        return _encoding_fault(asked, head) or _range_fault(asked, head) or _version_fault(asked, head)
    if head.status == 200:
        # An encoding first: it is the reason where the length is another one.
        return _encoding_fault(asked, head) or _whole_fault(asked, head)
    return refusal(asked.place, head, asked.object.size)


def refusal(place: str, head: AnswerHead, size: int | None = None) -> CarriageError:
    """The error that a status other than success stands for."""
    status = head.status
    match status:
        case 404 | 410:
            return ObjectMissing(f"{place}: gone ({status})")
        case 401 | 403 | 407:
            # Stores refuse a signature for its time in words about keys; the answer's own Date tells.
            off = clock_skew.ahead(head.text(b"date"), head.text(b"age"))
            why = "check the credentials" if off is None else clock_skew.words(off)
            return AccessRefused(f"{place}: the server refuses access ({status}); {why}")
        case 412:
            return SourceChanged(f"{place}: no longer the version that the plan pinned (412)")
        case 416:
            # `bytes */N` states the size as it is now (RFC 9110, section 14.4): another one is the reason.
            total = _UNSATISFIED.fullmatch(head.fields.get(b"content-range", b"").strip())
            if total is not None and size is not None and int(total[1]) != size:
                return SourceChanged(
                    f"{place}: the object has {int(total[1])} bytes now, the plan says {size}"
                )
            return RangeRefused(f"{place}: the server refuses the range (416)")
        case 429 | 503:
            return ServerBusy(f"{place}: the server is busy ({status})", retry_after=retry_after(head))
        case 408:  # may be repeated (RFC 9110, section 15.5.9), unlike other 4xx
            return ServerError(f"{place}: the server waited too long (408)")
    if status >= 500:
        return ServerError(f"{place}: the server failed ({status})")
    return RangeRefused(f"{place}: answered with status {status}")


def retry_after(head: AnswerHead) -> float | None:
    """Seconds that Retry-After asks for (RFC 9110, section 10.2.3), at most RETRY_AFTER_CAP.

    None where there is no such field, or none that can be read. An HTTP date is taken against the answer's
    own Date, so that a clock that is off here does not matter.
    """
    value = head.text(b"retry-after")
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:18]), RETRY_AFTER_CAP)  # 18 digits are beyond the cap already
    try:
        until = parsedate_to_datetime(value).timestamp()
        date = head.text(b"date")
        now = parsedate_to_datetime(date).timestamp() if date else time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, until - now), RETRY_AFTER_CAP)


def _whole_fault(asked: WantedRange, head: AnswerHead) -> CarriageError | None:
    # First the length: an error page that is sent as a 200 must not be taken for a server without ranges.
    obj, size = asked.object, asked.object.size
    if head.length is not None and head.length != size:
        kind = printable((head.text(b"content-type") or "no type")[:80])
        return RangeRefused(
            f"{asked.place}: a 200 with {head.length} bytes of {kind} in the place of the object's {size}"
        )
    if not asked.whole and (asked.offset or asked.length != size):
        return RangesIgnored(f"{asked.place}: the server ignores ranges (200 for a part)")
    # Without a length any page would do as the object, unless a validator or a checksum tells them apart.
    provable = asked.whole and (validator_of(obj) is not None or obj.checksum is not None)
    if head.length is None and not provable:
        return RangesIgnored(f"{asked.place}: the server ignores ranges and states no length of the body")
    if asked.offset > SKIPPED_CAP:
        return RangesIgnored(
            f"{asked.place}: the server ignores ranges, and the plan cuts this object; set shards.chunk_size"
            f" to {size}B or more in the job file and plan anew, so that it comes in one piece"
        )
    return _version_fault(asked, head)


def encoding_in(head: AnswerHead) -> str | None:
    """The answer's Content-Encoding as it may be shown; None where the body is not encoded."""
    # `identity` is no coding to send (RFC 9110, section 8.4), and means none where it is sent.
    encoding = head.fields.get(b"content-encoding")
    if encoding is None or encoding.strip().lower() in (b"identity", b""):
        return None
    return printable(encoding[:80].decode("latin-1"))


def encoded(place: str, encoding: str) -> MalformedAnswer:
    """A body that is encoded although identity was asked for, and the way out."""
    return MalformedAnswer(
        f"{place}: Content-Encoding {encoding!r} that was not asked for; where objects are stored so"
        " (Apache's AddEncoding on .gz, say), `options: {content_encoding: stored}` of the source hauls the"
        " bytes as they are stored"
    )


def _encoding_fault(asked: WantedRange, head: AnswerHead) -> CarriageError | None:
    encoding = None if asked.stored else encoding_in(head)
    return None if encoding is None else encoded(asked.place, encoding)


def _range_fault(asked: WantedRange, head: AnswerHead) -> CarriageError | None:
    # One comparison of bytes for nearly all answers; spaces and case are looked at where it fails. Multipart
    # answers to a single range have no Content-Range in their head (RFC 9110, section 15.3.7.2).
    value = head.fields.get(b"content-range")
    start, stop, size = asked.offset, asked.offset + asked.length, asked.object.size
    if value != b"bytes %d-%d/%d" % (start, stop - 1, size):
        match = _CONTENT_RANGE.fullmatch(value.strip()) if value is not None else None
        if match is None or int(match[1]) != start or int(match[2]) != stop - 1:
            said = "no range" if value is None else repr(printable(value[:80].decode("latin-1")))
            return RangeRefused(f"{asked.place}: asked for {start}-{stop - 1}, the answer says {said}")
        # Without a size nothing tells a range of a larger object from one of the pinned one.
        if match[3] == b"*":
            return RangeRefused(f"{asked.place}: the answer does not state the object's size")
        if int(match[3]) != size:
            return SourceChanged(f"{asked.place}: {int(match[3])} bytes now, the plan pinned {size}")
    if head.length is not None and head.length != asked.length:
        return RangeRefused(f"{asked.place}: Content-Length {head.length} for a range of {asked.length}")
    return None


def _version_fault(asked: WantedRange, head: AnswerHead) -> CarriageError | None:
    pinned = validator_of(asked.object)
    if pinned is None:
        return None
    # A 206 has to state the ETag that a 200 would (RFC 9110, section 15.3.7), so that silence is no match.
    name, value = pinned
    found = head.fields.get(name)
    if found is not None and found.strip() == value:
        return None
    said = "nothing" if found is None else printable(found[:200].decode("latin-1"))
    return SourceChanged(
        f"{asked.place}: {name.decode()} is {said} now, the plan pinned {printable(value.decode('latin-1'))}"
    )
