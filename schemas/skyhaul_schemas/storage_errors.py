"""What the operating system and SQLite say of a disk, as errors of ours: the one table of errno values.

Whether a haul ends with 75 (run it again) or with 2 (something has to be changed first) is decided here and
nowhere else. A disk that is full, fails, was remounted read-only or a process that has no more files, memory,
threads or processes may do better next time: 75. A place that this user may not write to will not: 2.
"""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from skyhaul_schemas.errors import (
    EXIT_INCOMPLETE,
    DiskFull,
    SkyhaulError,
    StorageError,
    StorageReadOnly,
    StorageRefused,
    TooManyOpenFiles,
    UsageError,
)
from skyhaul_schemas.printable import printable

AGAIN = "run the same command again"
"""Ends the messages below of all that is 75, so that message and exit code say the same."""

_FULL = f"no space left; make room and {AGAIN}"

_TABLE: dict[int, tuple[type[StorageError], str]] = {
    errno.ENOSPC: (DiskFull, _FULL),
    errno.EDQUOT: (DiskFull, f"no space left (disk quota); make room and {AGAIN}"),
    errno.EFBIG: (
        DiskFull,
        "no space left: a file would be larger than its limit (ulimit -f, or the filesystem's); raise it and"
        f" {AGAIN}",
    ),
    errno.EMFILE: (
        TooManyOpenFiles,
        "too many open files; raise the limit (ulimit -n), or lower max_connections or --workers,"
        f" and {AGAIN}",
    ),
    errno.ENFILE: (
        TooManyOpenFiles,
        f"too many open files on this machine; close some, or raise fs.file-max, and {AGAIN}",
    ),
    # As if in the midst of a haul: a place that is read-only from the start goes through `from_the_start`.
    errno.EROFS: (StorageReadOnly, f"Read-only file system; remount it for writing and {AGAIN}"),
    errno.EIO: (StorageError, f"Input/output error; look at the disk, then {AGAIN}"),
    errno.ENOMEM: (
        StorageError,
        f"not enough memory; free some, raise the limit (ulimit -v), or lower --workers, and {AGAIN}",
    ),
    # Of fork and pthread_create. Of sockets and pipes it means something else, so it is not in `_ANYWHERE`.
    errno.EAGAIN: (
        StorageError,
        f"no more processes or threads are allowed (ulimit -u, or the container's); raise that and {AGAIN}",
    ),
    errno.EACCES: (StorageRefused, "permission denied; let this user write there, or choose another place"),
    errno.EPERM: (
        StorageRefused,
        "Operation not permitted; let this user write there, or choose another place",
    ),
    errno.ENOTDIR: (StorageRefused, "Not a directory; choose another place"),
    errno.EISDIR: (StorageRefused, "Is a directory; choose another place"),
    errno.EEXIST: (StorageRefused, "File exists; choose another place"),
    errno.ELOOP: (StorageRefused, "Too many levels of symbolic links; choose another place"),
    errno.ENAMETOOLONG: (StorageRefused, "File name too long; choose a shorter place"),
}

_ANYWHERE = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.EIO, errno.ENOMEM,
    errno.EACCES, errno.EPERM,
}  # fmt: skip
"""What an environment may do to any call: never a bug of ours, wherever it comes up. Codes about names
(ENOTDIR, EEXIST, …) are not among them: where no caller foresaw one, the bug may be ours."""

_SQLITE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_CANTOPEN: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_NOMEM: errno.ENOMEM,
    sqlite3.SQLITE_NOLFS: errno.EFBIG,
    # Where it is not so when it is looked at again (`is_malformed`).
    sqlite3.SQLITE_CORRUPT: errno.EIO,
    sqlite3.SQLITE_NOTADB: errno.EIO,
}
"""Primary result codes of SQLite (https://sqlite.org/rescode.html) as the errno that says the same."""

_MALFORMED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""What SQLite says of a rotten file, and also of a sound one of which a read went wrong for a moment."""

_VAGUE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)
"""Codes that stand for several errno values: SQLITE_IOERR, for one, for a failing disk and for EFBIG."""

_PROBE = 64 * 1024
"""Bytes that are written to learn why a database takes none: more than a filesystem keeps in an inode."""

_NO_THREAD = "can't start new thread"
"""CPython's RuntimeError for EAGAIN of pthread_create."""

_NO_ROOM_TO_LOAD = ("Cannot allocate memory", "failed to map segment", "cannot create shared object")
"""Of the dynamic linker (glibc's dl-load.c)."""

_NO_TEMPORARY = "No usable temporary directory"
"""Of `tempfile`, where it could write to none of its folders."""


def storage_error(
    error: OSError | sqlite3.Error, what: str, path: os.PathLike[str] | str | None = None
) -> StorageError:
    """The error of ours for `error`.

    Args:
        error: What was raised.
        what: A clause that names the step and the place, such as `cannot write /data/x`.
        path: The database's, where SQLite does not say why it cannot open it. It is probed: a file beside it
            is written and removed.
    """
    number = errno_of(error, path)
    kind, reason = _TABLE.get(number, (StorageError, "")) if number is not None else (StorageError, "")
    if not reason:
        # 75 for a number that nobody put into the table: a run too many does less harm than giving up.
        said = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        reason = f"{printable(' '.join(str(said).split()))}; put it right and {AGAIN}"
    return kind(f"{what}: {reason}")


def is_malformed(error: sqlite3.Error, path: os.PathLike[str] | str) -> bool:
    """Whether SQLite finds the database at `path` malformed, and finds it so again.

    A read that failed for a moment can have SQLite say the same (of a page of the schema, say); looked at
    anew, by a connection of its own, such a database is sound, or the disk says what is wrong.
    """
    code = getattr(error, "sqlite_errorcode", None)
    # The low byte is the primary code; extended ones say more above it (https://sqlite.org/rescode.html).
    return isinstance(code, int) and code & 0xFF in _MALFORMED and stays_malformed(path)


def stays_malformed(path: os.PathLike[str] | str) -> bool:
    """Whether a database that was found malformed a moment ago is so when it is looked at anew."""
    try:
        # Seconds: another process may hold the lock, which is no damage. An error of locking is none below.
        with closing(sqlite3.connect(path, isolation_level=None, timeout=10.0)) as again:
            return bool(again.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
    except sqlite3.Error as second:
        return getattr(second, "sqlite_errorcode", 0) & 0xFF in _MALFORMED


def is_passing(error: OSError | sqlite3.Error) -> bool:
    """Whether `error` is one that the table knows, and that may not come again."""
    known = _TABLE.get(errno_of(error) or 0)
    return known is not None and known[0].exit_code == EXIT_INCOMPLETE


def passing_in(text: str) -> OSError | None:
    """The system's error that another program's last words name, if it is one that may not come again."""
    # Only what may pass: `Permission denied` may be about the very file that the program was to read.
    for number in _ANYWHERE:
        error = OSError(number, os.strerror(number))
        if is_passing(error) and os.strerror(number) in text:
            return error
    return None


@contextmanager
def passing_raised(what: str) -> Iterator[None]:
    """Raise as StorageError what says nothing of the file that is read, and may go better another time.

    For blocks whose OSErrors the caller holds against a file or an object: `verify` would report a sound file
    as damaged because this process has no more descriptors. All other errors pass as they are.

    Args:
        what: A clause that names the step and the place, as for `storage_error`.

    Raises:
        StorageError: The machine, not the file, is to blame.
    """
    try:
        yield
    except (OSError, MemoryError) as error:
        found = of_environment(error)
        if found is not None and found.exit_code == EXIT_INCOMPLETE:
            raise storage_error(error, what) if isinstance(error, OSError) else found from error
        raise


def unusable(error: OSError, what: str, way_out: str = "") -> SkyhaulError:
    """For a file or folder that the job names: UsageError, unless another try may go better."""
    # Nothing is under way yet: a place that is read-only now was not remounted under a haul.
    if is_passing(error) and error.errno != errno.EROFS:
        return storage_error(error, what)
    return UsageError(f"{what}: {error.strerror or type(error).__name__}{way_out and '; '}{way_out}")


def from_the_start(error: StorageError) -> StorageError:
    """`error` as it is to be judged where nothing was done yet, by the first probes of a place.

    A filesystem that is read-only now was not remounted and stays so; an errno that the table does not know
    is taken for a property of the place. Both become StorageRefused (2 instead of 75).
    """
    cause = error.__cause__
    unknown = type(error) is StorageError and isinstance(cause, OSError) and not is_passing(cause)
    if unknown or isinstance(error, StorageReadOnly):
        return StorageRefused(str(error))
    return error


def errno_of(error: BaseException, path: os.PathLike[str] | str | None = None) -> int | None:
    """The errno behind an OSError or an SQLite error; None where there is none."""
    if isinstance(error, OSError):
        return error.errno
    code = getattr(error, "sqlite_errorcode", None)
    if not isinstance(code, int):
        return None
    primary = code & 0xFF
    known = _SQLITE.get(primary)
    if path is None or primary not in _VAGUE:
        return known
    # SQLite keeps the system's own word to itself (Python's module does not pass on sqlite3_system_errno); a
    # little work tells it again. Beside the database too: the file may open while its folder takes no log.
    place = os.fspath(path)
    return _why_not_open(place) or _why_not_open(f"{place}-probe-{os.getpid()}") or known


def _why_not_open(path: str | None) -> int | None:
    """The errno of writing a little to `path`; None where that goes well."""
    if path is None:
        return None
    there = os.path.lexists(path)
    # What is there already is opened and no more: it may be the database, and a byte would damage it.
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        try:
            left = 0 if there else _PROBE
            while left:
                left -= os.write(descriptor, bytes(left))
        finally:
            os.close(descriptor)
            if not there:
                os.unlink(path)
    except OSError as error:
        return error.errno
    return None


def of_environment(error: BaseException) -> SkyhaulError | None:
    """The error of ours for an exception that nobody translated; None: it is a bug.

    An error of the environment is one wherever it comes up, so this is asked last of all, before anything is
    called a bug. Looks into groups of exceptions: the first member that says anything counts.
    """
    match error:
        case SkyhaulError():
            return error
        case BaseExceptionGroup():
            return next(filter(None, map(of_environment, error.exceptions)), None)
        case MemoryError():
            return StorageError(_TABLE[errno.ENOMEM][1])
        case ImportError() if any(words in str(error) for words in _NO_ROOM_TO_LOAD):
            return StorageError(_TABLE[errno.ENOMEM][1])
        case SystemError() if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
            # CPython's own word where it runs out of memory in places that do not look for it.
            return StorageError(_TABLE[errno.ENOMEM][1])
        case RuntimeError() if str(error).startswith(_NO_THREAD):
            return StorageError(_TABLE[errno.EAGAIN][1])
        # Of fork: whoever reads or writes without waiting catches its own.
        case BlockingIOError() if error.errno == errno.EAGAIN:
            return StorageError(_TABLE[errno.EAGAIN][1])
        case FileNotFoundError() if str(error.strerror).startswith(_NO_TEMPORARY):
            return _no_temporary()
        case OSError() | sqlite3.Error() if errno_of(error) in _ANYWHERE:
            return storage_error(error, _place(error))
    return None


def _place(error: OSError | sqlite3.Error) -> str:
    # Databases with a name of their own (journal, ledger) are translated where they are used.
    if isinstance(error, sqlite3.Error):
        return "a temporary database (TMPDIR names its folder)"
    name = error.filename
    return (
        "a file" if name is None else printable(os.fsdecode(name) if isinstance(name, bytes) else str(name))
    )


def _no_temporary() -> StorageError:
    """The error for Python's tempfile, which tries some folders and does not say what was wrong with them."""
    folder = os.environ.get("TMPDIR") or "/tmp"
    number = _why_not_open(os.path.join(folder, f".skyhaul-{os.getpid()}")) or errno.EACCES
    what = "no folder for temporary files can be used (TMPDIR names one)"
    return storage_error(OSError(number, os.strerror(number)), what)
