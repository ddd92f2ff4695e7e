"""Every error that skyhaul raises on purpose, with its exit code and what a haul does about it.

One base, one exit code a class (`exit_code`), and for errors of carriage a `disposition` that says
whether a range is tried again, a shard is put off, or a shard fails. The text is made from the
fields; each message is one line that names the thing, the place and the way out.
"""

from __future__ import annotations

import enum
from typing import ClassVar

EXIT_OK = 0
EXIT_BUG = 1
"""What CPython ends with after an uncaught exception, and no command returns: whatever has it is a bug."""
EXIT_USAGE = 2
"""As click's own errors of usage. A script that sees it gains nothing from running the command again."""
EXIT_FAILED = 3
EXIT_DAMAGE = 4
EXIT_INCOMPLETE = 75
"""EX_TEMPFAIL of sysexits.h: the same command, run again, goes on."""
EXIT_SIGINT = 130
EXIT_SIGTERM = 143
"""128 and the signal's number, as shells report it. SIGHUP ends with it too."""


class Disposition(enum.Enum):
    """What a haul does with an error of carriage."""

    TRANSIENT = "transient"  # the range is asked for again, within the scheduler's budget
    DEFERRED = "deferred"  # the shard comes back as deferred; the haul ends with 75
    PERMANENT = "permanent"  # the shard fails, with a failure record


class SkyhaulError(Exception):
    """Base of every error of ours. `str()` is one printable line without secrets."""

    exit_code: ClassVar[int] = EXIT_BUG

    @property
    def kind(self) -> str:
        """The class as failure records and `replay --class` name it, for example `SourceChanged`."""
        # So a class's name is data that lies in datasets: renaming one breaks the scripts that select by it.
        return type(self).__name__


class UsageError(SkyhaulError):
    """Bad usage, a bad job file, or a dataset that cannot be written."""

    exit_code = EXIT_USAGE


class ValueRefused(UsageError):
    """A value of a job file that those who know its kind do not take.

    A name that nobody has, an option of something else. The job file's model keeps such values as they are
    written.

    Args:
        message: One line for whom the file is not at hand; `LoadedJob.placed` makes another of what follows.
        where: The keys that lead to the value, as far as is known.
        found: The value.
        allowed: What is allowed, with nothing of what was found.
        known: The names of which it should be one; the nearest of them stand in the place of `allowed`.
        of_key: It is the last key of `where` that is refused, whatever stands there.
    """

    def __init__(
        self,
        message: str,
        where: tuple[str | int, ...] = (),
        found: object = None,
        allowed: str = "",
        known: tuple[str, ...] = (),
        *,
        of_key: bool = False,
    ) -> None:
        super().__init__(message)
        self.where = where
        self.found = found
        self.allowed = allowed
        self.known = known
        self.of_key = of_key

    def below(self, *where: str | int, said: str = "") -> ValueRefused:
        """The same with keys before its own, and words before its message."""
        return ValueRefused(
            f"{said}{self}",
            (*where, *self.where),
            self.found,
            self.allowed,
            self.known,
            of_key=self.of_key,
        )


class PlanMismatch(UsageError):
    """The job file no longer says what the dataset's plan was made from."""


class InputIncomplete(SkyhaulError):
    """A dataset that another one is to be made of is not hauled yet."""

    exit_code = EXIT_INCOMPLETE


class SpoolInUse(UsageError):
    """Another process of this machine hauls or amends the same plan with this spool now."""


class PlanDamaged(SkyhaulError):
    """The plan file cannot be trusted: it is cut, altered or of another format."""

    exit_code = EXIT_DAMAGE


class FingerprintMismatch(UsageError):
    """This worker's encoders are not those that the plan was made with."""


class PlugInMissing(UsageError):
    """A plan uses a format, a source or a transform of a package that is not installed here."""


class PlugInRefused(UsageError):
    """A package's plug-in cannot be used: its import fails, or another one has the same name."""


class CarriageError(SkyhaulError):
    """Something between a source and the spool went wrong."""

    exit_code = EXIT_FAILED
    disposition: ClassVar[Disposition] = Disposition.PERMANENT
    """Permanent unless a subclass says otherwise: a failure record shows what nobody thought of, and retries
    would hide it."""


class TransientError(CarriageError):
    """Base of errors that the next try may not meet again.

    Args:
        message: One printable line.
        retry_after: Seconds that the server asked us to wait (RFC 9110, 10.2.3); None: it did not say.
    """

    exit_code = EXIT_INCOMPLETE
    disposition = Disposition.TRANSIENT

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ConnectFailed(TransientError):
    """No connection: refused, unreachable, or no answer in time."""


class NameNotResolved(TransientError):
    """DNS did not answer, or not with an address."""


class ConnectionLost(TransientError):
    """The connection ended or was reset before the answer was whole."""


class StalledError(TransientError):
    """No byte within the idle deadline, or fewer than the minimum rate, or the total deadline passed."""


class ReadFailed(TransientError):
    """This machine could not read, for a reason that says nothing of the object (EIO, EMFILE, ENOMEM)."""


class ServerBusy(TransientError):
    """429 or 503: the server asks for patience."""


class ServerError(TransientError):
    """Any other 5xx answer."""


class DeferredError(CarriageError):
    """Base of errors that put a shard off until a later run; they spend no retry budget."""

    exit_code = EXIT_INCOMPLETE
    disposition = Disposition.DEFERRED


class LinkClosed(DeferredError):
    """No contact now: the link's window has closed."""


class CapSpent(LinkClosed):
    """The link's cap is used up until its next cycle or free hours."""


class LedgerUnwritable(DeferredError):
    """The ledger of a link with a cap or a price cannot be written any more."""

    # Deferred and not ignored: bytes that nobody counts could take the link past its cap.


class BudgetSpent(DeferredError):
    """`--max-duration` is over."""


class SourceSilent(DeferredError):
    """Nothing came from the source for longer than `patience`."""


class SourceUnread(DeferredError):
    """This machine could not read an object, again and again, for a reason that says nothing of it."""


class Interrupted(DeferredError):
    """The haul was asked to stop (SIGINT, SIGTERM or SIGHUP)."""

    signum: int | None = None
    """The signal's number, where it was this process that got one."""


class PlanAmended(DeferredError):
    """The plan was amended while the haul ran, and the shard is another one now."""


class SourceChanged(CarriageError):
    """The object is no longer the one that the plan pinned."""


class ObjectMissing(CarriageError):
    """The object is gone (404 or 410, or no such file)."""


class AccessRefused(CarriageError):
    """The source does not let us read (401, 403, or file permissions)."""


class NotSetUp(AccessRefused, UsageError):
    """What access needs is not here: a profile, a key, a file of credentials. Nobody was asked yet."""

    # Said again: CarriageError comes before UsageError in the order of resolution, and has 3.
    exit_code = EXIT_USAGE


class NoSuchBucket(ObjectMissing, UsageError):
    """The store has no bucket of the name."""

    # Said again, as for NotSetUp.
    exit_code = EXIT_USAGE


class RangeRefused(CarriageError):
    """The server did not answer the range that was asked: 200, 416, or another Content-Range."""


class RangesIgnored(RangeRefused):
    """The server answered with the whole object where a part was asked for."""


class MalformedAnswer(CarriageError):
    """An answer that cannot be trusted: bad HTTP, an unasked Content-Encoding, too long a body."""


class RedirectRefused(CarriageError):
    """A redirect that is not followed: too many, to another scheme, or to a host not allowed."""


class TlsFailed(CarriageError):
    """The TLS handshake or the certificate failed. There is no insecure fallback."""


class ProxyRefused(CarriageError):
    """The link's proxy does not let us through, or is none."""


class SourceFailing(CarriageError):
    """The source has answered with nothing but errors for two minutes."""


class RangeSpent(CarriageError):
    """One range's budget of retries is spent, while the source answers other ranges."""


class ChecksumMismatch(CarriageError):
    """Bytes arrived, and again, and their digest is not the one that the source's list states."""


class StorageError(SkyhaulError):
    """The spool, the dataset or another disk of ours did not do what was asked. The next run tries again."""

    exit_code = EXIT_INCOMPLETE


class DiskFull(StorageError):
    """No space left (ENOSPC, EDQUOT or EFBIG). What is committed is untouched."""


class TooManyOpenFiles(StorageError):
    """The limit on open files is reached (EMFILE or ENFILE)."""


class StorageReadOnly(StorageError):
    """A filesystem became read-only while it was used (EROFS)."""


class StorageRefused(StorageError, UsageError):
    """A place that this user may not write to, or that cannot be one. Trying again changes nothing.

    The system says EACCES or EPERM, there is a file where a folder should be, or EROFS from the start.
    """

    # Said again: StorageError, which comes first in the order of resolution, has 75.
    exit_code = EXIT_USAGE


class RecordDamaged(StorageError):
    """A commit record or a sealed file that cannot be what was written. It proves nothing."""

    exit_code = EXIT_DAMAGE


class DataDamaged(StorageError):
    """A file of rows or rejects that is gone, or is not what was committed."""

    exit_code = EXIT_DAMAGE


class SpoolDamaged(StorageError):
    """The journal is rotten in its middle; it is not guessed at."""

    # Not 75 as its base: every run would read the same journal, until its folder is removed.
    exit_code = EXIT_FAILED


class CommitConflict(SkyhaulError):
    """A commit record or file exists with other digests: two plans or two encoders met. Stops the run."""

    # No StorageError: that would be put off and tried again, while two writers go on to differ.
    exit_code = EXIT_FAILED


class ReplayDiffers(SkyhaulError):
    """A committed shard with broken files was hauled again, and came out otherwise than it was committed."""

    exit_code = EXIT_FAILED


class HaulIncomplete(SkyhaulError):
    """Shards of a haul were put off or lost, and its pipeline asked for all of them."""

    exit_code = EXIT_INCOMPLETE


class HaulFailed(SkyhaulError):
    """Shards of a haul failed for good, and its pipeline asked for all of them."""

    exit_code = EXIT_FAILED


class DecodeError(SkyhaulError):
    """Bytes of an object that cannot be decoded, where the job says `on_damage: fail`."""

    exit_code = EXIT_FAILED


class DriftError(DecodeError):
    """A record that does not fit the schema, where the job says that drift fails the shard."""


class TooManyRejects(DecodeError):
    """A shard rejects more of its records than the job's `max_rejects` allows."""


class TransformFailed(DecodeError):
    """A rule of the job has no answer for a record: an integer of its expression is beyond 64 bits."""
