"""What the operating system says of a dataset's storage, in words that name the dataset."""

from __future__ import annotations

from skyhaul_schemas import storage_errors
from skyhaul_schemas.errors import StorageError, StorageReadOnly, StorageRefused, UsageError
from skyhaul_schemas.printable import printable


def storage_error(error: OSError, doing: str, path: object) -> StorageError:
    """The error of ours for a step on `path`; see `skyhaul_schemas.storage_errors`."""
    return storage_errors.storage_error(error, f"cannot {doing} {printable(str(path))}")


def probe_error(error: OSError, place: str) -> UsageError | StorageError:
    """The error of a probe: a store that cannot be written is a matter of usage, one that is full is not."""
    what = f"dataset {place} cannot be written"
    if isinstance(error, FileExistsError | NotADirectoryError):
        return UsageError(f"dataset {place} is not a folder; choose another `dataset`")
    found = storage_errors.storage_error(error, what)
    if isinstance(found, StorageReadOnly):
        return UsageError(f"{what}: it is read-only; choose another `dataset`")
    if isinstance(found, StorageRefused):
        why = "permission denied" if isinstance(error, PermissionError) else error.strerror
        return UsageError(f"{what}: {why}; choose another `dataset`")
    if storage_errors.is_passing(error):
        return found
    reason = error.strerror or str(error) or type(error).__name__
    return UsageError(f"{what}: {printable(reason)}; choose another `dataset`")
