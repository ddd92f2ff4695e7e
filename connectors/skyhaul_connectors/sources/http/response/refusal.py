"""The code in the body of a store's refusal: S3, Azure and Google answer in XML, with a code that is a word.

Only the code is repeated; the text beside it may hold parts of a signature.
"""

from __future__ import annotations

import copy
import re

from skyhaul_connectors.sources import clock_skew
from skyhaul_connectors.sources.http.response.head import AnswerHead
from skyhaul_schemas.errors import CarriageError, SourceChanged

BODY_CAP = 16 * 1024
"""Bytes of a body in which the code is looked for; one that states more is not waited for. Below SKIP_CAP, up
to which a connection reads refusals anyway. Chosen, not measured."""

_CODE = re.compile(rb"<Code>\s*([A-Za-z][A-Za-z0-9_.]{0,63})\s*</Code>")
"""No XML parser: the body comes from outside, may break off, and one word of it is wanted. What is no single
word is not repeated."""


class RefusalBody:
    """The body behind a refusal, while it comes."""

    def __init__(self, fault: CarriageError) -> None:
        """`fault`: the error that the head alone stands for."""
        self._fault = fault
        self._text = bytearray()

    @classmethod
    def of(cls, fault: CarriageError, head: AnswerHead) -> RefusalBody | None:
        """None where the body is of no use, or too long to wait for."""
        kind = head.text(b"content-type") or ""
        short = head.length is None or 0 < head.length <= BODY_CAP
        # A 412 says all by itself; to wait for its body would only put off the next try.
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
        # A copy: a class may carry more than its text (`ServerBusy.retry_after`).
        error = copy.copy(self._fault)
        error.args = (said,)
        return error
