"""Bytes on their way from sources into the spool, and from there to whoever decodes them.

Two layers above each other, `schedule` (what is asked for when, over which link; sans-I/O) and `spool`
(what has arrived, on disk), and beside them what brings them together. The way of a byte, call by call:

1. `EngineThread.fetch` (any thread) has `TransferEngine.begin` called on the engine's thread; the shard's
   spool file is opened by `Spool.open` on the journal's thread.
2. `SpoolQuota` admits a segment: `TransferEngine.admitted` wants it of the source's scheduler.
3. `SourceDriver` carries out what the scheduler decides: a `Send` is a `Channel.request`
   (`sources.protocol`).
4. The channel tells its `ChannelEvents.received`, which is `SourceDriver._received`: the scheduler says
   what is new, and the task's `ByteSink.write` takes it, for a shard `SpoolSink.write`.
5. `SpoolFile.write` gathers it (`WriteBehind`), writes it, and digests it in memory.
6. `GroupCommit` hands what arrived to `Spool.commit` on the journal's thread: sync, then the journal's
   rows.
7. `Verification.committed` looks whether segments are in: journaled, and with the digests that the list
   states.
8. `ShardFetch.wait` returns, and `ShardFetch.read` gives the bytes out, held against their digest once
   more.

What goes wrong comes back by two protocols that `TransferEngine` implements: `SpoolEvents` (a shard failed,
bytes have to come again) and `SourceEvents` (a task failed, is complete, nothing is missing).
"""
