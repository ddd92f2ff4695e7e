"""Exceptions of filesystems and of the libraries beneath them, as errors of ours. Only their class and
errno are repeated: their texts may hold URLs with signatures."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator

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
        raise as_carriage(place, error) from None


def as_carriage(place: str, error: Exception) -> CarriageError:
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
    if isinstance(error, PermissionError) or "Credentials" in name or name in _NO_ENTRY:
        return AccessRefused(f"{place}: the store refuses access ({name}); check the credentials")
    if name == "FileExpired":  # s3fs: If-Match did not hold
        return SourceChanged(f"{place}: no longer the version that the plan pinned")
    if isinstance(error, TimeoutError):
        return StalledError(f"{place}: no answer in time")
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        return ReadFailed(f"{place}: {os.strerror(error.errno)}")
    if isinstance(error, OSError) and error.errno:
        return ConnectionLost(f"{place}: {os.strerror(error.errno)}")
    return ConnectionLost(f"{place}: {name}")
