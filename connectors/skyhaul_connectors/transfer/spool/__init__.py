"""What has arrived, on disk: verified, journaled, lasting.

The folder can be tested as one room: `Spool` on a `Disk` that fails (`tests/transfer/spool/faulty_disk.py`),
an engine over it (`test_crash_points.py` and `test_failed_writes.py` beside it), and the whole program with
each call failing or power lost at each instant (`tests/durability`).

Which invariant each file upholds:

- `write_behind`: of one file at most 4 MiB are held in memory, and none of it counts as arrived.
- `spool_file`: after a write that failed the file takes nothing more, and nothing that was pending is told
  to anybody; after a sync that failed it is replaced, never synced again.
- `extents`: a digest is made of bytes in memory, or of bytes that were read back and held against one. What
  nothing vouches for never gets one.
- `journal`: a row never precedes its bytes; a commit holds whole, or not at all; what does not add up is
  `SpoolDamaged`, and not guessed at.
- `spool`: the order of syncs, below; what was opened is what survived being held against its bytes.
- `group_commit`: one commit at a time; what was taken for one is told of in its answer, or fetched again.
- `verification` with `verified_blocks` and `checksum`: a segment is in only when all its bytes are
  journaled and have every digest that the source's list states.
- `open_shard`: what a reader gets was held against its digest at that very read.
- `quota`: what segments take or were promised stays within the limit, but for one that somebody waits for
  when nothing else moves.
- `received_counts`: no data and no decision rests on the notes; a torn one is as none.
- `lock`: one process a spool; the lock dies with its holder.
- `folders`: nothing is removed but under its lock, and the lock goes last.
- `disk`: the only file operations on spool files, so that tests can make each fail.
- `events`: what these parts tell the engine.

The order of syncs, each so that what comes next rests on it (docs/adr/0005-what-each-sync-is-for.md):

1. The spool folder is made, and its name synced into the folder above (`durable.make_durable_folder`).
2. A shard's row is committed with its layout, before its file is there: a file without a row is a stray,
   and is removed at the next start.
3. For a commit: what is held is written; the folder is synced once a file, for its name; the file's data is
   synced; then the rows are committed (SQLite, WAL, `synchronous = FULL`).
4. For a drop: the rows go first, then the hole is punched. For a removal: the rows first, then the file.

Not synced: holes, removed files, `<shard>.counts`. They may come back, or are made anew.
"""
