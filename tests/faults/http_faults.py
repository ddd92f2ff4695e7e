"""Faults that the hostile HTTP server shows: the link table of the fault catalogue, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

KINDS = {
    # the connection
    "reset": "RST after `after` bytes of the body",
    "drop": "orderly end of the connection after `after` bytes of the body",
    "stall": "silence after `after` bytes of the body, for `seconds`",
    "silent": "the request is read, and nothing comes, for `seconds` (a half-open connection looks so)",
    "slow": "slow-loris: after `after` bytes, one byte each `seconds`",
    "slow-head": "slow-loris in the head: one byte each `seconds`",
    "close": "a right answer, announced as the last of its connection",
    "close-unannounced": "a right answer, and the connection ends after it",
    # the answer's frame
    "ignore-range": "200 with the whole object",
    "wrong-range": "206 whose Content-Range lies one byte further",
    "wrong-total": "206 whose Content-Range states another total",
    "unknown-total": "206 whose Content-Range states no total",
    "no-content-range": "206 without Content-Range",
    "short-length": "206 whose Content-Length and body are `after` bytes",
    "long": "`after` bytes more than the Content-Length says",
    "long-length": "Content-Length and body are `after` bytes too many",
    "endless": "a body without length that never ends",
    "endless-chunked": "chunks that never end",
    "416": "416 Range Not Satisfiable",
    "gzip": "Content-Encoding: gzip that nobody asked for",
    "multipart": "multipart/byteranges",
    "chunked": "no fault: the right bytes, chunked",
    "until-close": "no fault: the right bytes, no length, then the end of the connection",
    "interim": "no fault: 103 Early Hints before the answer",
    "swap": "the next request on the connection is answered first",
    "garbage": "bytes that are not HTTP",
    "endless-head": "header lines that never end",
    "two-lengths": "two Content-Length lines that differ",
    # the object
    "changed-etag": "206 with another ETag and other bytes, If-Match ignored",
    "weak-etag": "206 whose ETag is weak",
    "no-etag": "206 without ETag and Last-Modified",
    "replace": "the object is replaced from now on (412 for those who pinned it)",
    "delete": "the object is gone from now on (404)",
    "corrupt": "byte `after` of the body is wrong, and nothing says so",
    # the server
    "redirect": "302 to `location`",
    "redirect-loop": "302 to itself",
    "busy": "503 with Retry-After: `seconds`",
    "busy-date": "503 with Retry-After as an HTTP date `seconds` ahead of the answer's Date",
    "too-many": "429 with Retry-After: `seconds`",
    "status": "an error with the status `status`",
}


@dataclass(frozen=True, slots=True)
class HttpFault:
    """What goes wrong with one request; the fields that matter depend on `kind` (see KINDS)."""

    kind: str
    after: int = 0
    seconds: float = 3600.0
    status: int = 500
    location: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault {self.kind!r}; there are {', '.join(KINDS)}")


def parse_fault(text: str) -> HttpFault:
    """`kind[,after=N][,seconds=S][,status=N][,location=URL]`."""
    kind, *settings = text.split(",")
    fault = HttpFault(kind)
    for setting in settings:
        key, _, value = setting.partition("=")
        if key == "after":
            fault = replace(fault, after=int(value))
        elif key == "status":
            fault = replace(fault, status=int(value))
        elif key == "seconds":
            fault = replace(fault, seconds=float(value))
        elif key == "location":
            fault = replace(fault, location=value)
        else:
            raise ValueError(f"no setting {key!r} of a fault")
    return fault


class FaultPlan:
    """Which request of which path goes wrong. `*` stands for every path."""

    def __init__(self, script: Mapping[str, list[HttpFault | None]] | None = None) -> None:
        self._script = {path: list(faults) for path, faults in (script or {}).items()}
        self._always: dict[str, HttpFault] = {}
        self._asked: dict[str, int] = {}

    def on(self, path: str, *faults: HttpFault | None) -> None:
        """The next requests of `path` go wrong like this, one after the other."""
        self._script.setdefault(path, []).extend(
            [None] * max(0, self._asked.get(path, 0) - len(self._script.get(path, []))) + list(faults)
        )

    def always(self, path: str, fault: HttpFault | None) -> None:
        """Every request of `path` goes wrong like this; None ends it."""
        if fault is None:
            self._always.pop(path, None)
        else:
            self._always[path] = fault

    def next_for(self, path: str) -> HttpFault | None:
        fault = None
        for key in (path, "*"):
            turn = self._asked.get(key, 0)
            self._asked[key] = turn + 1
            listed = self._script.get(key, [])
            fault = fault or (listed[turn] if turn < len(listed) else None) or self._always.get(key)
        return fault
