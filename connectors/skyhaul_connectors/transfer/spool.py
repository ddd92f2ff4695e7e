"""The spool of one plan: a folder with a lock, a journal, and one file a shard.

    <spool>/<plan digest, 32 characters>/lock
    <spool>/<plan digest, 32 characters>/journal.sqlite
    <spool>/<plan digest, 32 characters>/<shard>.bytes

Everything here that touches the journal runs on one thread. A spool file whose sync failed is never
synced again: what the kernel then says of its pages cannot be trusted, so a new file takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skyhaul_connectors.sources.file_names import check_reachable
from skyhaul_connectors.transfer.disk import Disk, storage_error
from skyhaul_connectors.transfer.held import Change, Held
from skyhaul_connectors.transfer.intervals import Stretch
from skyhaul_connectors.transfer.journal import Journal, ShardChange
from skyhaul_connectors.transfer.segment import AddressMap
from skyhaul_connectors.transfer.spool_lock import SpoolLock
from skyhaul_connectors.transfer.write_behind import WriteBehind
from skyhaul_schemas.commit import TransferCounts
from skyhaul_schemas.errors import SkyhaulError, StorageError

JOURNAL = "journal.sqlite"
SUFFIX = ".bytes"


def folder_name(plan: str) -> str:
    """The spool subfolder of a plan digest."""
    return plan[:32]


class SpoolFile:
    """One shard's file, open. Written by the loop's thread, read by any once it is flushed."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self.path = path
        self._disk = disk
        self.entered = False
        try:
            self._fd = disk.open(path)
        except OSError as error:
            raise storage_error(error, "opening the spool file", path) from error
        self._old: list[int] = []
        self._behind = WriteBehind(self._write_now)

    def write(self, position: int, data: bytes | memoryview) -> None:
        """It is in the file after the next `flush`. Raises DiskFull or StorageError."""
        self._behind.add(position, data)

    def flush(self) -> None:
        """Raises DiskFull or StorageError: what was written since the last flush may be lost then."""
        self._behind.flush()

    def _write_now(self, position: int, data: bytes | memoryview) -> None:
        try:
            self._disk.write_at(self._fd, data, position)
        except OSError as error:
            raise storage_error(error, "writing to the spool file", self.path) from error

    def read(self, position: int, length: int) -> bytes:
        """Fewer bytes where the file is too short, none where the disk cannot read them: the digests tell."""
        try:
            return self._disk.read_at(self._fd, length, position)
        except OSError:
            return b""

    def sync(self) -> None:
        """Raises OSError; after that the file must be replaced, never synced again."""
        if not self.entered:
            self._disk.sync_folder(self.path.parent)
            self.entered = True
        self._disk.sync(self._fd)

    def replace(self) -> None:
        """A new, empty file under the name. The old descriptor stays open until `close()`, since another
        thread may be using it at this moment. Raises DiskFull or StorageError."""
        try:
            self._disk.unlink(self.path)
            fresh = self._disk.open(self.path)
        except OSError as error:
            raise storage_error(error, "replacing the spool file", self.path) from error
        self._old.append(self._fd)
        self._fd = fresh
        self.entered = False

    def punch(self, position: int, length: int) -> None:
        """Give the stretch back to the disk. Raises DiskFull or StorageError."""
        try:
            self._disk.punch(self._fd, position, length)
        except OSError as error:
            raise storage_error(error, "punching a hole into the spool file", self.path) from error

    def close(self) -> None:
        """Nobody may use the file afterwards."""
        for fd in [self._fd, *self._old]:
            with suppress(OSError):
                self._disk.close(fd)
        self._old.clear()


@dataclass(slots=True)
class OpenSpoolFile:
    """A shard's file with what is in it. `lost`: stretches that the journal claimed and that read wrong."""

    shard: int
    map: AddressMap
    file: SpoolFile
    held: Held
    counts: dict[str, TransferCounts]
    lost: list[Stretch]


@dataclass(slots=True)
class Batch:
    """One shard's part in a group commit: stretches that were written since the last one."""

    spooled: OpenSpoolFile
    arrived: list[Stretch]
    counts: dict[str, TransferCounts]


@dataclass(slots=True)
class Committed:
    """What became of a batch. `gained` is durable; `lost` has to be fetched again; `replaced`: the sync
    failed, so all of the shard has to. `error`: the shard cannot go on."""

    gained: list[Stretch]
    lost: list[Stretch]
    replaced: bool = False
    error: SkyhaulError | None = None


class Spool:
    """The spool of one plan, locked. Raises UsageError (in use), SpoolDamaged, DiskFull, StorageError."""

    def __init__(self, root: Path, plan: str, disk: Disk) -> None:
        check_reachable(str(root), "spool")
        self.folder = root / folder_name(plan)
        self._disk = disk
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, "making the spool folder", self.folder) from error
        self._lock = SpoolLock(self.folder)
        try:
            self._journal = Journal(self.folder / JOURNAL)
            self.remnants = self._journal.shards()
            self._remove_strays()
        except BaseException:
            self._lock.release()
            raise

    def open(self, shard: int, address: AddressMap) -> OpenSpoolFile:
        """The shard's file and what of it survived: everything that the journal claims is held against
        the bytes. Raises SpoolDamaged, DiskFull or StorageError."""
        self.remnants.pop(shard, None)
        path = self.folder / f"{shard:07d}{SUFFIX}"
        known = self._journal.load(shard)
        if known is None or known.layout != address.digest or known.length != address.length:
            with suppress(OSError):
                self._disk.unlink(path)
            self._journal.commit([ShardChange(shard, fresh=(address.digest, address.length))])
            file = SpoolFile(self._disk, path)
            return OpenSpoolFile(shard, address, file, Held(address.length), {}, [])
        file = SpoolFile(self._disk, path)
        try:
            step = known.held.check(file.read)
            if step.change:
                self._journal.commit([ShardChange(shard, changes=[step.change])])
        except BaseException:
            file.close()
            raise
        return OpenSpoolFile(shard, address, file, known.held, known.counts, step.lost)

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        """Sync the files, digest what arrived, and journal it in one transaction. Raises nothing: what
        went wrong is in the answer, one for each batch."""
        answers: list[Committed] = []
        changes: list[ShardChange] = []
        for batch in batches:
            answer, change = self._prepare(batch)
            answers.append(answer)
            changes.append(change)
        try:
            self._journal.commit(changes)
        except SkyhaulError as error:
            return [Committed([], [], error=a.error or error) for a in answers]
        return answers

    def drop(self, spooled: OpenSpoolFile, stretches: Sequence[Stretch], *, punch: bool) -> list[Stretch]:
        """Let go of stretches: the journal first, then (with `punch`) the disk. Returns neighbours that
        read wrong meanwhile and are lost too. Raises SpoolDamaged, DiskFull or StorageError."""
        changes: list[Change] = []
        lost: list[Stretch] = []
        for start, stop in stretches:
            step = spooled.held.drop(start, stop, spooled.file.read)
            changes.append(step.change)
            lost.extend(step.lost)
        self._journal.commit([ShardChange(spooled.shard, changes=changes)])
        if punch:
            for start, stop in stretches:
                spooled.file.punch(start, stop - start)
        return lost

    def remove(self, spooled: OpenSpoolFile) -> None:
        """Committed or failed for good: the file and its rows go. Raises StorageError."""
        spooled.file.close()
        self._journal.commit([ShardChange(spooled.shard, forget=True)])
        try:
            self._disk.unlink(spooled.file.path)
        except OSError as error:
            raise storage_error(error, "removing the spool file", spooled.file.path) from error

    def close(self) -> None:
        self._journal.close()
        self._lock.release()

    def _prepare(self, batch: Batch) -> tuple[Committed, ShardChange]:
        spooled = batch.spooled
        change = ShardChange(spooled.shard, counts=batch.counts)
        try:
            spooled.file.sync()
        except OSError as error:
            change.fresh = (spooled.map.digest, spooled.map.length)
            spooled.held = Held(spooled.map.length)
            try:
                spooled.file.replace()
            except StorageError as worse:
                return Committed([], [], error=worse), change
            full = storage_error(error, "syncing the spool file", spooled.file.path)
            if type(full) is not StorageError:
                return Committed([], [], error=full), change
            return Committed([], [], replaced=True), change
        step = spooled.held.take(batch.arrived, spooled.file.read)
        change.changes.append(step.change)
        return Committed(step.gained, step.lost), change

    def _remove_strays(self) -> None:
        """Files that no journal row names: a crash came between the file and the row."""
        for path in self.folder.glob(f"*{SUFFIX}"):
            if not (path.stem.isdigit() and int(path.stem) in self.remnants):
                with suppress(OSError):
                    self._disk.unlink(path)
