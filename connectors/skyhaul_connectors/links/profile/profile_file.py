"""Files that a link's profile is made of: contact plans and traces, as a user names them."""

from __future__ import annotations

from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import printable
from skyhaul_schemas.reading import read_start
from skyhaul_schemas.storage_errors import unusable


def read_profile_file(what: str, path: str, most: int) -> bytes:
    """All of a file of at most `most` bytes (whole MiB), which is a `what`.

    Raises:
        UsageError: It cannot be read, or is larger.
        StorageError: It cannot be read now; that may pass.
    """
    named = f"{what} {printable(path)}"
    try:
        data = read_start(path, most + 1)
    except OSError as error:
        raise unusable(error, f"{named} cannot be read") from error
    except ValueError as error:
        raise UsageError(f"{named} cannot be read: {error}") from None
    if len(data) > most:
        raise UsageError(f"{named} is larger than {most // 1024**2} MiB")
    return data
