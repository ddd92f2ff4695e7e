"""What JOB on the command line stands for: a job file, or a dataset that holds the job it was made by.

As `skyhaul.api.target` has it, with a lean start before it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from skyhaul.cli.lean_start import import_arrow
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import printable
from skyhaul_schemas.storage_errors import unusable

if TYPE_CHECKING:
    from skyhaul.dataset.storage.store import DatasetStore
    from skyhaul_schemas.job.file import LoadedJob


@contextmanager
def open_dataset(target: str, *, writable: bool = False) -> Iterator[DatasetStore]:
    """The dataset, to read, or to write what is no part of a haul.

    Raises:
        UsageError: There is none, or the job file is refused.
    """
    _start(target)
    from skyhaul.api import target as targets

    with targets.open_dataset(target, writable=writable) as store:
        yield store


@contextmanager
def open_job(target: str, *, writable: bool = True) -> Iterator[tuple[LoadedJob, DatasetStore]]:
    """The job and its dataset, to write unless told otherwise.

    For a dataset folder the job is the one it was made by, and the dataset is that folder, also where it has
    been moved since. What is refused of the job's values inside is told with its place in the file.

    Raises:
        UsageError: There is none, or the job is refused.
    """
    _start(target)
    from skyhaul.api import target as targets

    with targets.open_job(target, writable=writable) as opened:
        yield opened


def named(target: str) -> str:
    """The target as output and messages may show it: a URL without user info and query."""
    if "://" not in target:
        return target
    from skyhaul.dataset.storage.store import shown

    return shown(target)


def _start(target: str) -> None:
    """Import Arrow, unless there is nothing of that name: a misspelt one is told at once."""
    try:
        if "://" not in target:
            os.stat(target)
    # ValueError: a NUL in the name.
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise UsageError(f"{printable(target)}: there is no such job file or dataset folder") from None
    except OSError as error:
        raise unusable(error, f"{printable(target)}: cannot be read") from None
    import_arrow()
