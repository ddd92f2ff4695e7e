"""What JOB on the command line stands for: a job file, or a dataset that holds the job it was made by."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
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
    # A dataset's own job is not read here: its secrets would have to be set for a mere `status`.
    if _is_dataset(target):
        store = _existing(target, writable=writable)
    else:
        loaded = _load(target)
        with loaded.placed():
            store = _store(loaded.job.dataset, writable=writable)
    with closing(store):
        yield store


@contextmanager
def open_job(target: str, *, writable: bool = True) -> Iterator[tuple[LoadedJob, DatasetStore]]:
    """The job and its dataset, to write unless told otherwise.

    For a dataset folder the job is the one it was made by, and the dataset is that folder, also where it has
    been moved since. What is refused of the job's values inside is told with its place in the file. Raises
    UsageError."""
    if not _is_dataset(target):
        loaded = _load(target)
        with loaded.placed(), closing(_store(loaded.job.dataset, writable=writable)) as store:
            yield loaded, store
        return
    from skyhaul_schemas import layout
    from skyhaul_schemas.job.file import parse_job

    with closing(_existing(target, writable=writable)) as store:
        # Replaced: a rotten byte is then told with its line, as any fault of a job file.
        text = store.read_bytes(layout.JOB).decode("utf-8", errors="replace")
        loaded = parse_job(text, f"{store.place.rstrip('/')}/{layout.JOB}", os.environ)
        with loaded.placed():
            yield loaded, store


def named(target: str) -> str:
    """The target as output and messages may show it: a URL without user info and query."""
    if "://" not in target:
        return target
    from skyhaul.dataset.storage.store import shown

    return shown(target)


def _is_dataset(target: str) -> bool:
    return "://" in target or os.path.isdir(target)


def _load(target: str) -> LoadedJob:
    # Before Arrow is imported, so that a misspelt name is told at once. ValueError: a NUL in the name.
    try:
        os.stat(target)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise UsageError(f"{printable(target)}: there is no such job file or dataset folder") from None
    except OSError as error:
        raise unusable(error, f"{printable(target)}: cannot be read") from None
    import_arrow()
    from skyhaul_schemas.job.file import load_job

    return load_job(Path(target), os.environ)


def _existing(target: str, *, writable: bool) -> DatasetStore:
    import_arrow()
    from skyhaul_schemas import layout

    store = _store(target, writable=writable)
    if not store.exists(layout.JOB):
        raise UsageError(
            f"{store.place}: this is no dataset (it has no {layout.JOB}); name a job file, or a dataset"
            " that `skyhaul plan` or `skyhaul run` has made"
        )
    return store


def _store(url: str, *, writable: bool) -> DatasetStore:
    import_arrow()
    from skyhaul.dataset.storage.opening import open_store

    return open_store(url, writable=writable)
