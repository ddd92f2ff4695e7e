"""The last line of defence for secrets in text that other libraries wrote: log lines and tracebacks.

Our own messages show URLs without user info and query already; an exception of a foreign library, quoted
in a log line, may not.
"""

from __future__ import annotations

import re

# Up to the last `@` before the path: a password may hold one.
_USER_INFO = re.compile(r"(?<=://)[^\s/?#'\"]*@")
# The whole query: which parameter is a secret (`sig`, `X-Amz-Signature`, `token`) is the server's affair.
_QUERY = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://[^\s?'\"<>]*)\?[^\s'\"<>]*")
# As HTTP, a Python mapping, JSON or YAML writes it; the scheme (`Bearer`) goes with its value.
_CREDENTIAL = re.compile(
    r"((?:authorization|proxy-authorization|x-[a-z0-9-]*(?:token|key|secret)[a-z0-9-]*)"
    r"['\"]?\s*[:=]\s*['\"]?)(?:(?:basic|bearer)\s+)?[^\s'\",;}]+",
    re.IGNORECASE,
)


def scrubbed(text: str) -> str:
    """`text` with user info, queries of URLs and the values of credential headers taken out."""
    text = _USER_INFO.sub("", text)
    text = _QUERY.sub(r"\1?...", text)
    return _CREDENTIAL.sub(r"\1...", text)
