"""Secrets written out in a job file.

They are refused, because the file is kept in the dataset as it stands, and because it is the kind of file
that people send to each other. What is found here is a slip, not an attack: names of keys and parameters are
looked at, since nothing tells a password by its look.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

# Parts of names between `-` and `_`, not of words: `tokenizer` is none. With `_file` or `_path` behind it a
# key names where the secret lies, which may be said.
_SECRET_KEYS = re.compile(
    r"(?:^|[_-])(?:password|passwd|passphrase|secret|token|credentials?|authorization|cookie|api[_-]?key"
    r"|account[_-]?key|private[_-]?key|access[_-]?key)(?:$|[_-](?!file|path))|^(?:secret|pass|pwd|pkey)$",
    re.IGNORECASE,
)
# `sig` is Azure's signature, `X-Amz-Signature` and `X-Amz-Credential` are S3's, `key` is Google's API key.
_SECRET_QUERY = re.compile(
    r"(?:^|[_-])(?:password|passwd|secret|token|signature|credential|api[_-]?key|apikey|sig|auth)$|^key$",
    re.IGNORECASE,
)


def literal_secret(where: tuple[str | int, ...], text: str) -> str | None:
    """What is exposed by the scalar `text` (as written) at `where`, in words fit to print, or None."""
    # An escaped `$${` is no variable, so it must not pass for one below.
    plain = text.replace("$${", "")
    if len(where) > 3 and where[0] == "sources" and where[2] == "options":
        named = any(isinstance(part, str) and _SECRET_KEYS.search(part) for part in where[3:])
        if named and plain and "${" not in plain and plain.lower() not in ("true", "false", "null", "~"):
            return "a secret written out"
    if "://" in plain:
        return _in_url(plain)
    return None


def _in_url(text: str) -> str | None:
    try:
        parts = urlsplit(text)
        password, query = parts.password, parse_qsl(parts.query)
    except ValueError:
        return None
    if password and "${" not in password:
        return "a password in a URL"
    for key, value in query:
        if _SECRET_QUERY.search(key) and value and "${" not in value:
            return f"a secret in a URL (its parameter {key!r})"
    return None
