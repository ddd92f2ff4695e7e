"""What the operating system says of a dataset's storage, as errors of ours: translated once, here."""

from __future__ import annotations

import errno

from skyhaul_schemas.errors import DiskFull, StorageError, UsageError
from skyhaul_schemas.printable import printable

_FULL = {errno.ENOSPC, errno.EDQUOT}
_UNWRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM}


def storage_error(error: OSError, doing: str, path: object) -> StorageError:
    """The error of a haul: DiskFull for ENOSPC and EDQUOT, StorageError for the rest."""
    place = f"cannot {doing} {printable(str(path))}"
    if error.errno in _FULL:
        quota = " (disk quota)" if error.errno == errno.EDQUOT else ""
        return DiskFull(f"{place}: no space left{quota}; make room and run the same command again")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return StorageError(f"{place}: too many open files; raise the limit (ulimit -n) or lower --workers")
    reason = error.strerror or str(error) or type(error).__name__
    return StorageError(f"{place}: {printable(reason)}")


def probe_error(error: OSError, place: str) -> UsageError | StorageError:
    """The error of a probe: a store that cannot be written is a matter of usage."""
    if error.errno in _UNWRITABLE or isinstance(error, PermissionError):
        why = "it is read-only" if error.errno == errno.EROFS else "permission denied"
        return UsageError(f"dataset {place} cannot be written: {why}; choose another `dataset`")
    if isinstance(error, FileExistsError | NotADirectoryError):
        return UsageError(f"dataset {place} is not a folder; choose another `dataset`")
    if error.errno in _FULL:
        return storage_error(error, "write", place)
    reason = error.strerror or str(error) or type(error).__name__
    return UsageError(f"dataset {place} cannot be written: {printable(reason)}; choose another `dataset`")
