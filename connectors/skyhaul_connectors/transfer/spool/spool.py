"""The spool of one plan: a folder with a lock, a journal, and for each shard a file and a note.

The note says what the shard has received.

    <spool>/<plan digest, 32 characters>/lock
    <spool>/<plan digest, 32 characters>/journal.sqlite
    <spool>/<plan digest, 32 characters>/<shard>.bytes
    <spool>/<plan digest, 32 characters>/<shard>.counts

Everything here that touches the journal runs on one thread. A spool file whose sync failed is never
synced again: what the kernel then says of its pages cannot be trusted, so a new file takes its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skyhaul_connectors.durable import make_durable_folder
from skyhaul_connectors.sources.local.file_names import check_reachable
from skyhaul_connectors.transfer.intervals import Stretch
from skyhaul_connectors.transfer.segment import AddressMap
from skyhaul_connectors.transfer.spool import received_counts
from skyhaul_connectors.transfer.spool.disk import Disk, storage_error
from skyhaul_connectors.transfer.spool.extents import Change, JournaledExtents
from skyhaul_connectors.transfer.spool.journal import Journal, ShardChange
from skyhaul_connectors.transfer.spool.lock import SpoolLock
from skyhaul_connectors.transfer.spool.spool_file import Pending, SpoolFile
from skyhaul_schemas.commit import TransferCounts
from skyhaul_schemas.errors import SkyhaulError, StorageError

JOURNAL = "journal.sqlite"
SUFFIX = ".bytes"
"""Names that runs of other versions find again: they are part of the spool's form."""


def folder_name(plan: str) -> str:
    """The spool subfolder of a plan digest."""
    return plan[:32]


@dataclass(slots=True)
class OpenSpoolFile:
    """A shard's file with what is in it.

    Attributes:
        shard: The shard's number in the plan.
        map: Where each segment lies in the file.
        file: Open until the engine lets go of the shard.
        extents: What of the file is journaled. Changed on the journal's thread alone.
        counts: Bytes by link to go on with; their payload is what is in.
        lost: Positions that the journal claimed when the file was opened, and that read wrong.
    """

    shard: int
    map: AddressMap
    file: SpoolFile
    extents: JournaledExtents
    counts: dict[str, TransferCounts]
    lost: list[Stretch]


@dataclass(slots=True)
class Batch:
    """One shard's part in a group commit: what was written since the last one."""

    spooled: OpenSpoolFile
    pending: Pending
    counts: dict[str, TransferCounts]


@dataclass(slots=True)
class Committed:
    """What became of a batch.

    Attributes:
        gained: Positions that are durable from now on.
        lost: Positions that read wrong, and have to be fetched again.
        replaced: The sync failed: all of the shard has to be fetched again, into a new file.
        error: Why the shard cannot go on; None where it can.
    """

    gained: list[Stretch]
    lost: list[Stretch]
    replaced: bool = False
    error: SkyhaulError | None = None


class Spool:
    """The spool of one plan, locked until `close`.

    Args:
        root: Folder of all spools.
        plan: The plan's digest, hex.
        disk: The file operations.

    Attributes:
        folder: Of this plan.
        remnants: Bytes that earlier runs left, by shard, as long as nobody has opened it.

    Raises:
        SpoolInUse: Another process holds it.
        SpoolDamaged: The journal does not add up.
        DiskFull: No room for the journal.
        StorageError: The folder or the journal cannot be read or written.
    """

    def __init__(self, root: Path, plan: str, disk: Disk) -> None:
        check_reachable(str(root), "spool")
        self.folder = root / folder_name(plan)
        self._disk = disk
        try:
            # A file below a folder whose name is lost is lost too, whatever of it was synced.
            make_durable_folder(self.folder, ours=2, sync=disk.sync_folder)
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
        """The shard's file and what of it survived.

        Everything that the journal claims is held against the bytes: a shard that is taken up again is read
        once, and none of it is fetched.

        Raises:
            SpoolDamaged: The journal does not add up.
            DiskFull: No room for a new file or row.
            StorageError: File or journal cannot be opened."""
        self.remnants.pop(shard, None)
        path = self.folder / f"{shard:07d}{SUFFIX}"
        note = self._note(shard)
        known = self._journal.load(shard)
        if known is None or known.layout != address.digest or known.length != address.length:
            for stale in (path, note):
                with suppress(OSError):
                    self._disk.unlink(stale)
            # The row before the file: a file that no row names is a stray, and is removed at the next start.
            self._journal.commit([ShardChange(shard, fresh=(address.digest, address.length))])
            file = SpoolFile(self._disk, path)
            return OpenSpoolFile(shard, address, file, JournaledExtents(address.length), {}, [])
        file = SpoolFile(self._disk, path)
        try:
            step = known.extents.check(file.read)
            noted = received_counts.noted_counts(note, address.digest)
            counts = received_counts.resumed_counts(known.counts, noted, known.extents.total)
            if step.change or counts != known.counts:
                self._journal.commit([ShardChange(shard, changes=[step.change], counts=counts)])
        except BaseException:
            file.close()
            raise
        return OpenSpoolFile(shard, address, file, known.extents, counts, step.lost)

    def note(self, spooled: OpenSpoolFile, counts: Mapping[str, TransferCounts]) -> None:
        """Note what the shard has received, for the run after a kill. Any thread."""
        received_counts.note_counts(self._disk, self._note(spooled.shard), spooled.map.digest, counts)

    def commit(self, batches: Sequence[Batch]) -> list[Committed]:
        """Sync the files, and journal what arrived in one transaction.

        Raises nothing: what went wrong is in the answer, one for each batch."""
        answers: list[Committed] = []
        changes: list[ShardChange] = []
        for batch in batches:
            answer, change = self._prepare(batch)
            answers.append(answer)
            changes.append(change)
        for number, batch in enumerate(batches):
            # While the others were prepared, a write may have failed.
            failed = batch.spooled.file.failed
            if failed is not None and answers[number].error is None and not answers[number].replaced:
                answers[number] = Committed([], [], error=failed)
                changes[number] = ShardChange(batch.spooled.shard)
        try:
            self._journal.commit(changes)
        except SkyhaulError as error:
            return [Committed([], [], error=a.error or error) for a in answers]
        return answers

    def drop(self, spooled: OpenSpoolFile, stretches: Sequence[Stretch], *, punch: bool) -> list[Stretch]:
        """Let go of stretches: the journal first, then (with `punch`) the disk.

        Returns:
            Neighbours that read wrong meanwhile and are lost too.

        Raises:
            SpoolDamaged, DiskFull, StorageError: As of the journal and the disk."""
        changes: list[Change] = []
        lost: list[Stretch] = []
        for start, stop in stretches:
            step = spooled.extents.drop(start, stop, spooled.file.read)
            changes.append(step.change)
            lost.extend(step.lost)
        self._journal.commit([ShardChange(spooled.shard, changes=changes)])
        if punch:
            for start, stop in stretches:
                spooled.file.punch(start, stop - start)
        return lost

    def remove(self, spooled: OpenSpoolFile) -> None:
        """Remove rows and file of a shard that is committed or failed for good. Raises StorageError."""
        spooled.file.close()
        # The rows first: without a file they would claim bytes that are gone; a file alone claims nothing.
        self._journal.commit([ShardChange(spooled.shard, forget=True)])
        try:
            self._disk.unlink(spooled.file.path)
        except OSError as error:
            raise storage_error(error, "removing the spool file", spooled.file.path) from error
        with suppress(OSError):  # a stray one is removed at the next start
            self._disk.unlink(self._note(spooled.shard))

    def close(self) -> None:
        """Let go of the journal and the lock. What is in stays for the next run."""
        self._journal.close()
        self._lock.release()

    def _prepare(self, batch: Batch) -> tuple[Committed, ShardChange]:
        spooled = batch.spooled
        if spooled.file.failed is not None:
            return Committed([], [], error=spooled.file.failed), ShardChange(spooled.shard)
        change = ShardChange(spooled.shard, counts=batch.counts)
        if batch.pending.inode != spooled.file.inode:
            return Committed([], []), change  # it lies in a file that has been replaced since
        try:
            spooled.file.sync()
        except OSError as error:
            change.fresh = (spooled.map.digest, spooled.map.length)
            spooled.extents = JournaledExtents(spooled.map.length)
            try:
                spooled.file.replace()
            except StorageError as worse:
                return Committed([], [], error=worse), change
            # A full or refused disk fails the shard now; any other fault of a sync gets one new file.
            full = storage_error(error, "syncing the spool file", spooled.file.path)
            if type(full) is not StorageError:
                return Committed([], [], error=full), change
            return Committed([], [], replaced=True), change
        step = spooled.extents.take(batch.pending.arrived, spooled.file.read)
        change.changes.append(step.change)
        return Committed(step.gained, step.lost), change

    def _note(self, shard: int) -> Path:
        return self.folder / f"{shard:07d}{received_counts.SUFFIX}"

    def _remove_strays(self) -> None:
        """Remove files that no row of the journal names: a crash came between the removals of the two."""
        try:
            ours = (SUFFIX, received_counts.SUFFIX)
            paths = [path for path in self.folder.iterdir() if path.suffix in ours]
        except OSError as error:
            raise storage_error(error, "listing the spool folder", self.folder) from error
        for path in paths:
            if not (path.stem.isdigit() and int(path.stem) in self.remnants):
                with suppress(OSError):
                    self._disk.unlink(path)
