"""Exceptions of filesystems and of the libraries beneath them, as errors of ours.

Only their class, their errno and the code of the store's own are repeated: their texts may hold URLs with
signatures."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from skyhaul_connectors.sources import clock_skew
from skyhaul_schemas.errors import (
    AccessRefused,
    CarriageError,
    ConnectionLost,
    NoSuchBucket,
    NotSetUp,
    ObjectMissing,
    ReadFailed,
    SourceChanged,
    StalledError,
)

_FOREIGN = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("paramiko", "SSHException"),
    ("requests", "RequestException"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("gcsfs.retry", "HttpError"),
    ("azure.core.exceptions", "AzureError"),
)
"""Bases that are no OSError, looked up where their library was loaded."""

_CAUSES = 8
"""Exceptions behind one another that are looked at."""
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}")
"""A code is a word; `403`, of an answer without one, is none."""
_NO_ENTRY = frozenset(
    {"AuthenticationException", "BadAuthenticationType", "PartialAuthentication", "PasswordRequiredException"}
)
"""paramiko's, by name."""


_NOT_SET_UP = frozenset(
    {
        "ConfigNotFound", "ConfigParseError", "CredentialRetrievalError", "InvalidConfigError",
        "NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "SSOTokenLoadError",
        "TokenRetrievalError", "UnauthorizedSSOTokenError", "DefaultCredentialsError",
    }
)  # fmt: skip
"""botocore's and google-auth's, by name: this machine lacks what a store would be asked with."""


def is_not_set_up(error: BaseException | None) -> bool:
    """Whether a profile, a key or credentials are missing here; looks at causes too."""
    while error is not None:
        if type(error).__name__ in _NOT_SET_UP:
            return True
        error = error.__cause__
    return False


def is_no_bucket(error: BaseException | None) -> bool:
    """Whether the store said that it has no such bucket (S3's NoSuchBucket)."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict) and response.get("Error", {}).get("Code") == "NoSuchBucket":
            return True
        error = error.__cause__
    return False


def foreign_errors() -> tuple[type[Exception], ...]:
    """What filesystems raise when something is wrong outside."""
    # Of libraries that are loaded: one that is not cannot have raised.
    found: list[type[Exception]] = [OSError, EOFError]
    for module, name in _FOREIGN:
        kind = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            found.append(kind)
    return tuple(found)


@contextlib.contextmanager
def translated(place: str) -> Iterator[None]:
    """Raises CarriageError in place of what the library raised."""
    try:
        yield
    except foreign_errors() as error:
        # `from None`: a traceback would show the foreign text after all.
        raise as_carriage(place, error) from None


def as_carriage(place: str, error: Exception) -> CarriageError:
    """The error of ours that says what a foreign one does; `place` begins its message."""
    # In this order: what the person must set up, what the store says by name, then what a class or errno
    # suggests.
    name = type(error).__name__
    if is_not_set_up(error):
        return NotSetUp(
            f"{place}: no credentials here ({name}); set up the profile, key or credentials that it names"
        )
    if is_no_bucket(error):
        return NoSuchBucket(f"{place}: no such bucket")
    if isinstance(error, FileNotFoundError):
        return ObjectMissing(f"{place}: gone")
    if name == "BadHostKeyException":
        return AccessRefused(
            f"{place}: the server's SSH key is not in known_hosts; add it once it is known to be right"
            " (ssh-keyscan), or name its file in options.known_hosts"
        )
    code, off = store_said(error)
    if code in clock_skew.CLOCK_CODES or (off is not None and _is_refusal(error, name)):
        return AccessRefused(f"{place}: the store refuses access ({code or name}): {clock_skew.words(off)}")
    if _is_refusal(error, name):
        return AccessRefused(f"{place}: the store refuses access ({code or name}); check the credentials")
    if name == "FileExpired":  # s3fs: If-Match did not hold
        return SourceChanged(f"{place}: no longer the version that the plan pinned")
    if isinstance(error, TimeoutError):
        return StalledError(f"{place}: no answer in time")
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        return ReadFailed(f"{place}: {os.strerror(error.errno)}")
    if isinstance(error, OSError) and error.errno:
        said = f" ({code})" if code else ""
        return ConnectionLost(f"{place}: {os.strerror(error.errno)}{said}")
    return ConnectionLost(f"{place}: {code or name}")


def _is_refusal(error: Exception, name: str) -> bool:
    return isinstance(error, PermissionError) or "Credentials" in name or name in _NO_ENTRY


def store_said(error: BaseException | None) -> tuple[str | None, float | None]:
    """(the code in a store's own answer, seconds that this clock is ahead of it).

    Both of botocore's ClientError, which s3fs leaves as the cause of its own; None where there is none."""
    seen = 0
    while error is not None and seen < _CAUSES:
        answer = getattr(error, "response", None)
        if isinstance(answer, Mapping):
            code = _part(answer, "Error").get("Code")
            headers = _part(_part(answer, "ResponseMetadata"), "HTTPHeaders")
            off = clock_skew.ahead(headers.get("date"), headers.get("age"))
            return (code if isinstance(code, str) and _CODE.fullmatch(code) else None), off
        error = error.__cause__ or error.__context__
        seen += 1
    return None, None


def store_words(error: BaseException | None) -> str:
    """` (AccessDenied)`, to be put behind a name; empty where the store said nothing of its own."""
    code, off = store_said(error)
    if code in clock_skew.CLOCK_CODES:
        return f" ({code}: {clock_skew.words(off)})"
    return f" ({code})" if code else ""


def _part(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = answer.get(name)
    return found if isinstance(found, Mapping) else {}
