"""Can the spool folder be written to? Asked before anything else is done, so that a disk that is read-only
from the start can be told from one that was remounted while a haul ran."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from skyhaul_schemas.errors import StorageRefused
from skyhaul_schemas.printable import printable
from skyhaul_schemas.storage_errors import is_passing, storage_error


def probe_spool(root: Path) -> None:
    """Make the folder, and a file in it that is gone afterwards. Raises StorageRefused where it cannot be
    written to, and StorageError where it may be next time."""
    path = root / f".probe-{secrets.token_hex(6)}"
    done = "made"
    try:
        root.mkdir(parents=True, exist_ok=True)
        done = "written to"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        path.unlink()
    except OSError as error:
        what = f"spool {printable(str(root))} cannot be {done}"
        if is_passing(error) and error.errno != errno.EROFS:
            raise storage_error(error, what) from error
        raise StorageRefused(f"{what}: {error.strerror}; choose another `spool`") from error
