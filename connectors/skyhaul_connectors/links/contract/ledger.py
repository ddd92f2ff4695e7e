"""The ledger: bytes by account and billing cycle, over all hauls and processes of a machine.

An SQLite database in WAL mode, synced at each commit.

Who hauls holds a *lease*: bytes that it may count until it settles next. A lease is in the ledger before
the bytes come, so a process that is killed leaves the ledger too high, by what it had leased and not used,
and never too low. That its holder is dead is seen by a lock that died with it; its lease is then taken as
spent. Leases and what is spent never add up to more than the cap, so neither do processes side by side.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import tenacity

from skyhaul_connectors.durable import make_durable_folder
from skyhaul_schemas.errors import StorageRefused
from skyhaul_schemas.printable import printable
from skyhaul_schemas.storage_errors import is_malformed, storage_error

FORMAT = 1
"""`user_version` of the database. A ledger of another format is refused, not migrated."""

# A holder has one lease for an account, in one cycle: `settle` books it before it leases anew. `cycle` is the
# cycle's first day, so that a changed period begins a new row and leaves the old sums alone.
_SCHEMA = """
CREATE TABLE used (account TEXT NOT NULL, cycle TEXT NOT NULL, counted INTEGER NOT NULL,
    free INTEGER NOT NULL, PRIMARY KEY (account, cycle)) WITHOUT ROWID;
CREATE TABLE leases (holder TEXT NOT NULL, account TEXT NOT NULL, cycle TEXT NOT NULL,
    bytes INTEGER NOT NULL, PRIMARY KEY (holder, account)) WITHOUT ROWID;
"""

_WAIT = 30.0
"""Seconds that a transaction of another process is waited for. Chosen, not measured: each is a few rows and
one sync, so that longer means a disk that hangs."""


@dataclass(frozen=True, slots=True)
class Used:
    """Bytes of one account in one cycle.

    Attributes:
        counted: Spent in hours that count.
        free: Spent in free hours.
        leased: Leased to hauls that go on.
    """

    counted: int = 0
    free: int = 0
    leased: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease.

    Attributes:
        bytes: May be counted until the next settlement.
        last: Nothing is left of the cap beyond them.
    """

    bytes: int
    last: bool


class Ledger:
    """One ledger file, and this object's leases in it. Used by one thread at a time.

    Raises StorageError, on construction and by every method, where the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # No process id: those come again, and a lease of the dead must never look like one of the living.
        self._holder = uuid.uuid4().hex
        self._lock: int | None = None
        self._mine: dict[str, tuple[str, int]] = {}
        with self._translated("opened"):
            make_durable_folder(path.parent, mode=0o700)
            # isolation_level=None: transactions are begun here, by BEGIN IMMEDIATE, and not by Python before
            # the first write. Made on the haul's thread, used on the accounting's.
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=_WAIT)
            try:
                self._open()
            except BaseException:
                self._db.close()
                raise

    def used(self, account: str, cycle: str) -> Used:
        """What is known now. Leases of the dead count as spent."""
        with self._translated("read"):
            row = self._db.execute(
                "SELECT counted, free FROM used WHERE account = ? AND cycle = ?", (account, cycle)
            ).fetchone()
            counted, free = row or (0, 0)
            leased = 0
            for holder, size in self._db.execute(
                "SELECT holder, bytes FROM leases WHERE account = ? AND cycle = ?", (account, cycle)
            ):
                # Read outside of a transaction, so that looking never makes a haul wait. While another
                # process tests the same lock the dead look alive for a moment: leased instead of spent, in
                # sum the same.
                if holder != self._holder and self._is_dead(holder):
                    counted += size
                else:
                    leased += size
            return Used(counted, free, leased)

    def settle(
        self, account: str, cycle: str, *, counted: int, free: int, want: int, cap: int | None
    ) -> Lease:
        """Book what came under the present lease, and lease anew.

        Args:
            account: Of the link.
            cycle: The name of the cycle that the new lease is for; what came is booked in the old one's.
            counted: Bytes since the last settlement, of hours that count.
            free: Bytes of free hours.
            want: Bytes to lease at most.
            cap: Bytes of a cycle that all accounts' leases and bookings stay within; None: no cap.
        """
        with self._translated("written"), self._transaction():
            # Before the lease is visible to others: a lease without a lock is a dead one's.
            if self._lock is None:
                self._lock = self._take_lock()
            held_cycle, held = self._mine.get(account, (cycle, 0))
            row = self._db.execute(
                "SELECT bytes FROM leases WHERE holder = ? AND account = ?", (self._holder, account)
            ).fetchone()
            if row is None and held:
                # Somebody took this process for dead (its lock file was removed) and booked its lease as
                # spent.
                counted = max(0, counted - held)
            if counted or free:
                self._book(account, held_cycle, counted, free)
            # Also without a cap: `used` reckons with the dead, but only a settlement books them.
            self._bury(account)
            available = want
            last = False
            if cap is not None:
                available = max(0, cap - self._taken(account, cycle))
                last = available <= want
            granted = min(want, available)
            self._db.execute(
                "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)",
                (self._holder, account, cycle, granted),
            )
        # Behind the commit: where that fails the old lease still stands.
        self._mine[account] = (cycle, granted)
        return Lease(granted, last)

    def restore(self, account: str, cycle: str, known: Used) -> None:
        """Book what was known of the cycle before and is known no longer."""
        with self._translated("written"), self._transaction():
            row = self._db.execute(
                "SELECT counted, free FROM used WHERE account = ? AND cycle = ?", (account, cycle)
            ).fetchone()
            counted, free = row or (0, 0)
            self._book(account, cycle, max(0, known.counted - counted), max(0, known.free - free))

    def close(self) -> None:
        """Give back what is leased and was not settled away. Settle before.

        Raises:
            StorageError: The lease could not be given back; it counts as spent once this process is gone."""
        with self._translated("written"):
            if self._mine:
                with self._transaction():
                    self._db.execute("DELETE FROM leases WHERE holder = ?", (self._holder,))
            self._db.close()
        # Only when the lease is gone: in the other order it would be a dead one's for a moment.
        if self._lock is not None:
            with suppress(OSError):
                os.unlink(self._lock_path(self._holder))
            _locks.discard(self)
            self.forget()

    def forget(self) -> None:
        """Let go of the lock, without a word to the ledger.

        For a forked child, whose copy of the descriptor holds the same lock (flock(2))."""
        if self._lock is not None:
            with suppress(OSError):
                os.close(self._lock)
            self._lock = None

    # -- inside

    def _open(self) -> None:
        # SQLite made the file by the umask. It says what somebody spends; the folder may be a shared one.
        with suppress(OSError):
            os.chmod(self.path, 0o600)
        self._use_wal()
        # SQLite's default for WAL does sync each commit, but builds may set NORMAL, which loses the last
        # commits in a power cut: bytes that were paid for and not counted.
        self._db.execute("PRAGMA synchronous = FULL")
        # In one transaction: two processes that open a new ledger at once must not both create its tables.
        with self._transaction():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {FORMAT}")
            elif version != FORMAT:
                raise StorageRefused(
                    f"the ledger {printable(str(self.path))!r} has format {version}, this skyhaul knows"
                    f" {FORMAT}; name another file with the job's `ledger`"
                )

    def _use_wal(self) -> None:
        # The first of several that open a new database locks it to go over; the others are refused at once,
        # however long the timeout is: SQLite does not wait where it might be for each other
        # (sqlite.org/c3ref/busy_handler.html).
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_busy),
            wait=tenacity.wait_random(0.01, 0.1),
            stop=tenacity.stop_after_delay(_WAIT),
            reraise=True,
        ):
            with attempt:
                self._db.execute("PRAGMA journal_mode = WAL")

    def _book(self, account: str, cycle: str, counted: int, free: int) -> None:
        self._db.execute(
            "INSERT INTO used VALUES (?, ?, ?, ?) ON CONFLICT (account, cycle)"
            " DO UPDATE SET counted = counted + excluded.counted, free = free + excluded.free",
            (account, cycle, counted, free),
        )

    def _taken(self, account: str, cycle: str) -> int:
        """Bytes of the cycle that are spent, or leased to others."""
        # Our own lease does not count: it is about to be replaced, and what came under it was booked before.
        spent = self._db.execute(
            "SELECT total(counted) FROM used WHERE account = ? AND cycle = ?", (account, cycle)
        ).fetchone()[0]
        leased = self._db.execute(
            "SELECT total(bytes) FROM leases WHERE account = ? AND cycle = ? AND holder != ?",
            (account, cycle, self._holder),
        ).fetchone()[0]
        return int(spent) + int(leased)

    def _bury(self, account: str) -> None:
        """Book the leases of the dead as spent."""
        others = self._db.execute(
            "SELECT holder, cycle, bytes FROM leases WHERE account = ? AND holder != ?",
            (account, self._holder),
        ).fetchall()
        for holder, cycle, size in others:
            if self._is_dead(holder):
                self._book(account, cycle, size, 0)
                self._db.execute("DELETE FROM leases WHERE holder = ? AND account = ?", (holder, account))
                if not self._db.execute("SELECT 1 FROM leases WHERE holder = ?", (holder,)).fetchone():
                    with suppress(OSError):
                        os.unlink(self._lock_path(holder))

    def _lock_path(self, holder: str) -> Path:
        # Beside the ledger, and not in /tmp: whoever shares the ledger sees the locks, from other containers
        # too.
        return self.path.with_name(f"{self.path.name}-holder-{holder}")

    def _take_lock(self) -> int:
        fd = os.open(self._lock_path(self._holder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # flock and not fcntl's record locks: those go when anybody in this process closes the file, and two
        # ledgers of one process would take each other for dead.
        fcntl.flock(fd, fcntl.LOCK_EX)
        _locks.add(self)
        return fd

    def _is_dead(self, holder: str) -> bool:
        try:
            fd = os.open(self._lock_path(holder), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        return True

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        # IMMEDIATE takes the write lock at once. A deferred transaction would read first, and fail with
        # SQLITE_BUSY_SNAPSHOT at its first write where another process has written meanwhile
        # (sqlite.org/rescode.html).
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def _translated(self, done: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            shown = repr(printable(str(self.path)))
            if isinstance(error, sqlite3.Error) and is_malformed(error, self.path):
                raise StorageRefused(
                    f"the ledger {shown} cannot be {done}: {error};"
                    " put it right, or name another file with the job's `ledger`"
                ) from error
            found = storage_error(error, f"the ledger {shown} cannot be {done}", self.path)
            if isinstance(found, StorageRefused):
                found = StorageRefused(f"{found}, or name another file with the job's `ledger`")
            raise found from error


def _is_busy(error: BaseException) -> bool:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_BUSY  # the low byte is the primary code (sqlite.org/rescode.html)


_locks: weakref.WeakSet[Ledger] = weakref.WeakSet()


def _forget_in_child() -> None:
    # A fork's copy of the lock would keep a dead parent's lease alive. Closing it here leaves the parent's: a
    # lock goes with the last descriptor of its open file (flock(2)).
    for ledger in list(_locks):
        ledger.forget()


os.register_at_fork(after_in_child=_forget_in_child)


def default_ledger(state_home: str | None, home: Path) -> Path:
    """Where the ledger lies unless the job says otherwise (XDG Base Directory Specification).

    Args:
        state_home: The value of `XDG_STATE_HOME`; the specification ignores one that is not absolute.
        home: The user's home folder."""
    base = Path(state_home) if state_home and Path(state_home).is_absolute() else home / ".local" / "state"
    return base / "skyhaul" / "links.sqlite"
