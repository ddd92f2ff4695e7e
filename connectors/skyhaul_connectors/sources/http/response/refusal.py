"""What a store says of a refusal in its body: S3, Azure and Google answer in XML, with a code that is a word.

Only the code is repeated; the text beside it may hold parts of a signature.
"""

from __future__ import annotations

import copy
import re

from skyhaul_connectors.sources import clock_skew
from skyhaul_connectors.sources.http.response.head import AnswerHead
from skyhaul_schemas.errors import CarriageError, SourceChanged

BODY_CAP = 16 * 1024
"""Bytes of a body in which the code is looked for."""

_CODE = re.compile(rb"<Code>\s*([A-Za-z][A-Za-z0-9_.]{0,63})\s*</Code>")


class RefusalBody:
    """The body behind a refusal, while it comes. `fault` is what the head alone says."""

    def __init__(self, fault: CarriageError) -> None:
        self._fault = fault
        self._text = bytearray()

    @classmethod
    def of(cls, fault: CarriageError, head: AnswerHead) -> RefusalBody | None:
        """None where the body is of no use, or too long to wait for."""
        kind = head.text(b"content-type") or ""
        short = head.length is None or 0 < head.length <= BODY_CAP
        told = head.status >= 400 and short and "xml" in kind.lower() and not isinstance(fault, SourceChanged)
        return cls(fault) if told else None

    def take(self, data: memoryview) -> None:
        self._text += data[: BODY_CAP - len(self._text)]

    def error(self) -> CarriageError:
        """The fault, with the code that has come."""
        match = _CODE.search(self._text)
        if match is None:
            return self._fault
        code = match[1].decode("ascii")
        said = f"{self._fault} [{code}]"
        if code in clock_skew.CLOCK_CODES and "clock" not in said:
            said = f"{said}: {clock_skew.words(None)}"
        error = copy.copy(self._fault)
        error.args = (said,)
        return error
