"""The steps of making a plan, or a further generation of one: list, cut, deal; each a pass on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from skyhaul.planning.build.captions_check import CaptionsCheck
from skyhaul.planning.build.catalogue import Catalogue, Cut
from skyhaul.planning.build.cutting import checked, cut
from skyhaul.planning.build.reading_ahead import Known, reading_ahead
from skyhaul.planning.build.sharding import deal, deal_key
from skyhaul.planning.decoders import Decoders, may_read_ahead, source_formats
from skyhaul.planning.fingerprint import encoder_fingerprint
from skyhaul.planning.recipe import rules_of
from skyhaul.planning.store.plan_digest import ObjectsDigest, RowsDigest, generation_digest
from skyhaul.planning.store.table_writer import (
    NewTable,
    chunk_row,
    dropped_row,
    object_row,
    objects_header,
    shards_header,
)
from skyhaul.shards.foreign_code.map_records import MapRecords
from skyhaul_connectors.formats.bytes.parts import ReadOnce
from skyhaul_connectors.formats.protocol import Decoder, ReadsAhead
from skyhaul_connectors.formats.records.joining import group_of, joining
from skyhaul_connectors.formats.registry import may_join
from skyhaul_connectors.sources.left_out import LeftOut, Tally
from skyhaul_connectors.sources.protocol import LocalSource, Source
from skyhaul_schemas.canonical_json import canonical_json
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.model import Job
from skyhaul_schemas.plan import Chunk, DroppedChunk, PinnedObject, PlanHeader
from skyhaul_schemas.printable import printable

_log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with the objects and the bytes listed so far."""

_PROGRESS_EVERY = 512
"""Objects between two calls, so that telling costs nothing beside listing. Chosen, not measured."""


class Planner:
    """The counts of a generation in the making, one step after the other.

    Args:
        kind: As in PlanHeader.
        base: The header of the plan that it goes on from, whose counts it takes over.
        map_records: A program's own code between decoding and writing."""

    def __init__(
        self,
        job: Job,
        patterns: Mapping[str, list[str]],
        sources: Mapping[str, Source],
        catalogue: Catalogue,
        progress: Progress | None,
        base: PlanHeader | None = None,
        kind: str = "plan",
        map_records: MapRecords | None = None,
    ) -> None:
        self._job = job
        self._patterns = patterns
        self._sources = sources
        self._catalogue = catalogue
        self._progress = progress or (lambda objects, size: None)
        self._base = base
        self._kind = kind
        self._map_records = map_records
        formats = source_formats(job)
        self._joined = {name for name, spec in formats.items() if may_join(spec.settings)}
        self._decoders = Decoders(formats)
        self._decoders.check()
        self._digest = ObjectsDigest()
        self._rows = RowsDigest()
        self._written = 0
        self._pinned = 0
        self._objects = base.objects if base else 0
        self._bytes = base.source_bytes if base else 0
        self._chunks = base.chunks if base else 0
        self._unpinned = base.unpinned if base else 0
        self._empty = base.empty if base else 0
        # Shards of a source lie side by side within a generation: a span for each tells whose a shard is
        # without a row of the plan being read.
        self._spans: list[tuple[str, int, int]] = list(base.stretches()) if base else []
        self._next_shard = base.shards if base else 0
        zero = {"objects": 0, "bytes": 0, "needed": 0, "chunks": 0, "shards": 0, "first_shard": 0}
        self._by_source = {
            name: {**zero, **(base.by_source.get(name, {}) if base else {})} for name in catalogue.sources
        }
        self._left_out = {name: LeftOut() for name in catalogue.sources}
        self._captions = {name: CaptionsCheck(told) for name, told in self._left_out.items()}
        self._dropped = {"objects": 0, "chunks": 0, "bytes": 0, **(base.dropped if base else {})}
        self._samples: dict[str, dict[bytes, tuple[str, Decoder]]] = {name: {} for name in catalogue.sources}
        self._seen: dict[int, Decoder] = {}
        for name, paths in (base.samples if base else {}).items():
            for path in paths:
                self._sample(name, path, self._decoders.of(name, path))
        self._spool_limit = {name: self._limit_of(name) for name in catalogue.sources}

    def list_sources(self) -> None:
        """List all sources into the catalogue. Raises UsageError for one without objects."""
        total = [0, 0]
        for name in self._catalogue.sources:
            before = total[0]
            left_out = self._left_out[name]
            listing = self._sources[name].listing(left_out)
            self._catalogue.add_objects(self._watched(checked(listing, name), total))
            if total[0] == before:
                what = ", ".join(map(printable, self._patterns[name])) or "its list"
                told = "".join(f"; left out: {reason}: {n:,}" for reason, n in left_out.counts().items())
                raise UsageError(f"source {name!r}: nothing matches {what}; check `sources.{name}.url`{told}")
            for reason, count in left_out.counts().items():
                shown = ", ".join(left_out.names()[reason])
                _log.warning("source %s: left out %d: %s (%s)", name, count, reason, shown)
            for reason, count in left_out.unchecked.counts().items():
                shown = ", ".join(left_out.unchecked.names()[reason])
                _log.warning("source %s: not checked %d: %s (%s)", name, count, reason, shown)
        self._progress(total[0], total[1])

    def left_out(self) -> dict[str, LeftOut]:
        """Source -> what its listing held that is no object; of those sources that have such names."""
        return {name: found for name, found in self._left_out.items() if found.counts()}

    def unchecked(self) -> dict[str, Tally]:
        """Source -> where a check that was asked for is not made; of those sources that have such names."""
        return {name: found.unchecked for name, found in self._left_out.items() if found.unchecked.counts()}

    def listed(self) -> Iterator[PinnedObject]:
        """What was listed, in order. Raises UsageError where a source lists a path twice."""
        last: PinnedObject | None = None
        for obj in self._catalogue.objects():
            if last is not None and (last.source, last.path) == (obj.source, obj.path):
                raise UsageError(
                    f"source {obj.source!r} lists {printable(obj.path)!r} twice; each object needs a path of"
                    " its own"
                )
            last = obj
            yield obj

    def pin_objects(self, objects: Iterable[PinnedObject], table: NewTable) -> int:
        """Write `objects`, which come in order, and put their chunks into the catalogue; how many."""
        with reading_ahead(objects, self._first_read) as found:
            self.pool(cut for obj, known in found for cut in self.pin(obj, table, known))
        return self._pinned

    def pin(self, obj: PinnedObject, table: NewTable, known: Known | None = None) -> Iterator[Cut]:
        """Write the next object; its chunks.

        Args:
            obj: The object.
            table: Takes the object's row.
            known: What was read of it ahead."""
        self._pinned += 1
        self._digest.add(obj)
        table.add(object_row(obj))
        self._objects += 1
        # An object without a version is pinned by its size alone, which the plan's summary says.
        self._unpinned += not obj.version
        self._empty += not obj.size
        self._by_source[obj.source]["objects"] += 1
        decoder = self._decoders.of(obj.source, obj.path)
        self._sample(obj.source, obj.path, decoder)
        self._captions[obj.source].look(obj, decoder)
        ahead = [known()] if known is not None else []
        read = ReadOnce(partial(self._sources[obj.source].read_now, obj), *ahead)
        yield from cut(obj, decoder, self._job.shards.chunk_size, self._spool_limit[obj.source], read)

    def _first_read(self, obj: PinnedObject) -> Callable[[], tuple[int, bytes]] | None:
        """What reads the bytes that cutting `obj` begins with; None where it reads none."""
        decoder = self._decoders.of(obj.source, obj.path)
        # With a checksum of the whole it is not cut, so that nothing of it is read.
        if obj.checksum is not None or not may_read_ahead(decoder) or not isinstance(decoder, ReadsAhead):
            return None
        stretch = decoder.first_read(obj, self._job.shards.chunk_size)
        if stretch is None:
            return None
        offset, length = stretch
        return lambda: (offset, self._sources[obj.source].read_now(obj, offset, length))

    def pool(self, cuts: Iterable[Cut]) -> None:
        """Put chunks into the catalogue, to be dealt."""
        seed = self._job.seed
        self._catalogue.add_chunks(
            (deal_key(seed, cut.object, cut.offset, self.group_of(cut.object)), cut) for cut in cuts
        )

    def group_of(self, obj: PinnedObject) -> str | None:
        """What the objects have in common that are dealt with this one; None: it stands alone."""
        if obj.source not in self._joined:
            return None
        return group_of(self._decoders.of(obj.source, obj.path), obj.path)

    def adds(self, obj: PinnedObject) -> bool:
        """Whether the object only adds to the records of its group."""
        if obj.source not in self._joined:
            return False
        joins = joining(self._decoders.of(obj.source, obj.path))
        return joins is not None and joins.adds(obj.path)

    def check_captions(self) -> None:
        """End the checks of captions. Raises UsageError for a list that names none of the objects."""
        for check in self._captions.values():
            check.finish()

    def finish_objects(self, table: NewTable) -> None:
        """End the table of the objects."""
        table.finish(objects_header(self._digest.hexdigest(), self._pinned))

    def put(self, chunk: Chunk, table: NewTable) -> None:
        """Write a row of a shard that takes an earlier one's place."""
        if self._base is not None:
            # The rows of a first generation follow from its objects: they need no digest.
            self._rows.add(chunk)
        self._written += 1
        table.add(chunk_row(chunk))

    def gain(self, chunk: Chunk) -> None:
        """Count a chunk that an earlier shard takes."""
        self._count(chunk, 1)

    def drop(self, chunk: Chunk) -> None:
        """Count a chunk that an earlier shard loses."""
        self._count(chunk, -1)
        self._dropped["chunks"] += 1
        self._dropped["bytes"] += chunk.length
        # Each object has one chunk that begins it, so that objects are counted by that.
        if chunk.offset == 0:
            self._dropped["objects"] += 1
            self._objects -= 1
            self._by_source[chunk.object.source]["objects"] -= 1
            self._unpinned -= not chunk.object.version
            self._empty -= not chunk.object.size

    def finish_dropped(self, dropped: Iterable[DroppedChunk], table: NewTable) -> None:
        """Write what was dropped, which comes in order."""
        count = 0
        for chunk in dropped:
            self._rows.drop(chunk)
            table.add(dropped_row(chunk))
            count += 1
        table.finish(objects_header(self._digest.hexdigest(), count))

    def deal_chunks(self, table: NewTable, part: dict[str, Any]) -> PlanHeader:
        """Write the pooled chunks by shard, and the header."""
        target_size, first = self._job.shards.target_size, self._next_shard
        for chunk in deal(self._catalogue.chunks(), target_size, first, self.group_of):
            self._count(chunk, 1)
            self._enter(chunk)
            self.put(chunk, table)
        header = self._header(part)
        table.finish(shards_header(header))
        return header

    def _enter(self, chunk: Chunk) -> None:
        """Count the shard of `chunk`, if it is a new one."""
        if chunk.shard < self._next_shard:
            return
        source = chunk.object.source
        counts = self._by_source[source]
        if not counts["shards"]:
            counts["first_shard"] = chunk.shard
        counts["shards"] += 1
        self._next_shard = chunk.shard + 1
        if self._spans and self._spans[-1][0] == source and self._spans[-1][2] == chunk.shard:
            self._spans[-1] = (source, self._spans[-1][1], chunk.shard + 1)
        else:
            self._spans.append((source, chunk.shard, chunk.shard + 1))

    def _count(self, chunk: Chunk, sign: int) -> None:
        counts = self._by_source[chunk.object.source]
        counts["chunks"] += sign
        counts["bytes"] += sign * chunk.length
        counts["needed"] += sign * chunk.needed_bytes
        self._chunks += sign
        self._bytes += sign * chunk.length

    def _header(self, part: dict[str, Any]) -> PlanHeader:
        base = self._base
        fingerprint = encoder_fingerprint(
            (decoder for found in self._samples.values() for _, decoder in found.values()),
            (rule for rules in rules_of(self._job).values() for rule in rules),
            self._decoders.plug_ins(name for name, found in self._samples.items() if found),
            self._map_records,
            self._job.schema_,
        )
        header = PlanHeader(
            digest="",
            name=base.name if base else self._job.name,
            job=part,
            fingerprint=fingerprint,
            objects_digest=self._digest.hexdigest(),
            objects=self._objects,
            chunks=self._chunks,
            shards=self._next_shard,
            source_bytes=self._bytes,
            by_source=self._by_source,
            unpinned=self._unpinned,
            empty=self._empty,
            left_out={name: found.counts() for name, found in self.left_out().items()},
            left_out_names={name: found.names() for name, found in self.left_out().items()},
            unchecked={name: found.counts() for name, found in self.unchecked().items()},
            unchecked_names={name: found.names() for name, found in self.unchecked().items()},
            samples={
                name: [path for path, _ in found.values()] for name, found in self._samples.items() if found
            },
        )
        if base is not None:
            header = replace(
                header,
                generation=base.generation + 1,
                kind=self._kind,
                previous=base.digest,
                root=base.first_digest,
                rows=self._written,
                rows_digest=self._rows.hexdigest(),
                spans=self._spans,
                dropped=self._dropped,
            )
        return replace(header, digest=generation_digest(header))

    def _watched(self, objects: Iterable[PinnedObject], total: list[int]) -> Iterator[PinnedObject]:
        for obj in objects:
            total[0] += 1
            total[1] += obj.size
            if total[0] % _PROGRESS_EVERY == 0:
                self._progress(total[0], total[1])
            yield obj

    def _sample(self, source: str, path: str, decoder: Decoder) -> None:
        """Keep the first path of each fingerprint that the objects of a source need."""
        if id(decoder) not in self._seen:
            # Kept, lest another decoder gets its id.
            self._seen[id(decoder)] = decoder
            # One path for each fingerprint is enough to build the same decoders elsewhere.
            fingerprint = canonical_json(dict(decoder.fingerprint))
            self._samples[source].setdefault(fingerprint, (path, decoder))

    def _limit_of(self, source: str) -> int | None:
        """The spool's limit in bytes; None for a source that is read in place."""
        # What is read in place never enters the spool.
        in_place = isinstance(self._sources[source], LocalSource) and not self._job.sources[source].via
        return None if in_place else self._job.spool_limit
