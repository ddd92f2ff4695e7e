"""What a caller names a job or a dataset by: a path, a URL, a job that is loaded, or the job's keys."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path, PurePath
from typing import Any

from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore, shown
from skyhaul_schemas import layout
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.file import LoadedJob, parse_job
from skyhaul_schemas.job.file import load_job as read_job
from skyhaul_schemas.printable import brief

JobLike = str | os.PathLike[str] | LoadedJob | Mapping[str, Any]
"""A job file or a dataset folder by its path, a dataset by its URL, a job that `load_job` has read, or a
mapping with the keys of a job file."""

FROM_MAPPING = "job"
"""How messages name a job that came as a mapping; the line is that of its JSON, a key a line."""


def load_job(job: str | os.PathLike[str] | Mapping[str, Any]) -> LoadedJob:
    """Read a job file, or the keys of one, and check it.

    Args:
        job: A path, or a mapping as the file would have it; `${NAME}` is read from the environment. In a
            mapping relative paths start at the working directory, as they do in a file.

    Raises:
        UsageError: It is refused; the message names each key, what was found and what is allowed.
    """
    if isinstance(job, Mapping):
        return parse_job(_text(job), FROM_MAPPING, os.environ)
    return read_job(Path(job), os.environ)


@contextmanager
def open_job(job: JobLike, *, writable: bool = True) -> Iterator[tuple[LoadedJob, DatasetStore]]:
    """The job and its dataset, to write unless told otherwise.

    For a dataset the job is the one it was made by, and the dataset is that folder, also where it has been
    moved since. What is refused of the job's values inside is told with its place in the file.

    Raises:
        UsageError: There is none, or the job is refused.
    """
    if not _is_dataset(job):
        loaded = job if isinstance(job, LoadedJob) else load_job(job)
        with loaded.placed(), closing(open_store(loaded.job.dataset, writable=writable)) as store:
            yield loaded, store
        return
    with closing(open_folder(_path(job), writable=writable)) as store:
        # Replaced: a rotten byte is then told with its line, as any fault of a job file.
        text = store.read_bytes(layout.JOB).decode("utf-8", errors="replace")
        loaded = parse_job(text, f"{store.place.rstrip('/')}/{layout.JOB}", os.environ)
        with loaded.placed():
            yield loaded, store


@contextmanager
def open_dataset(job: JobLike, *, writable: bool = False) -> Iterator[DatasetStore]:
    """The dataset, to read, or to write what is no part of a haul.

    Raises:
        UsageError: There is none, or the job is refused.
    """
    # A dataset's own job is not read here: its secrets would have to be set for a mere look.
    if _is_dataset(job):
        store = open_folder(_path(job), writable=writable)
    else:
        loaded = job if isinstance(job, LoadedJob) else load_job(job)
        with loaded.placed():
            store = open_store(loaded.job.dataset, writable=writable)
    with closing(store):
        yield store


def open_folder(url: str, *, writable: bool = False) -> DatasetStore:
    """The dataset at a path or URL. Raises UsageError where there is none."""
    store = open_store(url, writable=writable)
    try:
        if not store.exists(layout.JOB):
            raise UsageError(
                f"{store.place}: this is no dataset (it has no {layout.JOB}); name a job file, or a dataset"
                " that `skyhaul plan` or `skyhaul run` has made"
            )
    except BaseException:
        store.close()
        raise
    return store


def named(job: JobLike) -> str:
    """What results call it by, as an argument of the command line.

    A URL goes without user info and query; of what has no name it is the dataset.
    """
    if isinstance(job, LoadedJob | Mapping):
        loaded = job if isinstance(job, LoadedJob) else load_job(job)
        name = str(loaded.path)
        return name if name != FROM_MAPPING else shown(loaded.job.dataset)
    path = _path(job)
    return shown(path) if "://" in path else path


def _is_dataset(job: JobLike) -> bool:
    # Neither a mapping nor a loaded job: what they say may lie anywhere, and is no path.
    if isinstance(job, LoadedJob | Mapping):
        return False
    path = _path(job)
    # ValueError: a NUL in the name, which opening it will tell.
    try:
        return "://" in path or os.path.isdir(path)
    except ValueError:
        return False


def _path(job: JobLike) -> str:
    if not isinstance(job, str | os.PathLike):
        raise UsageError(f"a job is a path, a URL, a loaded job or a mapping, not a {type(job).__name__}")
    return os.fspath(job)


def _text(job: Mapping[str, Any]) -> str:
    """The keys as a job file. JSON is YAML, and leaves no doubt about what is text."""
    try:
        return json.dumps(dict(job), indent=2, ensure_ascii=False, allow_nan=False, default=_plain) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{FROM_MAPPING}: found what no job file can hold: {brief(str(error))}") from None


def _plain(value: object) -> object:
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__}")
