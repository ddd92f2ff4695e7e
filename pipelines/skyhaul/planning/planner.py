"""The steps of making a plan, each a pass over the catalogue: list, cut, deal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from skyhaul.planning.catalogue import Catalogue, Cut
from skyhaul.planning.cutting import checked, cut
from skyhaul.planning.dealing import deal, deal_key
from skyhaul.planning.decoders import Decoders, source_formats
from skyhaul.planning.digest import ObjectsDigest, plan_digest
from skyhaul.planning.fingerprint import encoder_fingerprint
from skyhaul.planning.plan_writer import NewTable, chunk_row, object_row, objects_header, shards_header
from skyhaul_connectors.formats.protocol import Decoder
from skyhaul_connectors.sources.protocol import LocalSource, Source
from skyhaul_schemas.digested import canonical_json
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job import Job
from skyhaul_schemas.plan import Chunk, PinnedObject, PlanHeader
from skyhaul_schemas.printable import printable

Progress = Callable[[int, int], None]
"""Called with the objects and the bytes listed so far."""

_PROGRESS_EVERY = 512


class Planner:
    """The counts of a plan in the making, one step after the other."""

    def __init__(
        self,
        job: Job,
        patterns: Mapping[str, list[str]],
        sources: Mapping[str, Source],
        catalogue: Catalogue,
        progress: Progress | None,
    ) -> None:
        self._job = job
        self._patterns = patterns
        self._sources = sources
        self._catalogue = catalogue
        self._progress = progress or (lambda objects, size: None)
        self._decoders = Decoders(source_formats(job))
        self._decoders.check()
        self._digest = ObjectsDigest()
        self._objects = self._bytes = self._unpinned = 0
        self._by_source = {
            name: {"objects": 0, "bytes": 0, "chunks": 0, "shards": 0, "first_shard": 0}
            for name in catalogue.sources
        }
        self._samples: dict[str, dict[bytes, tuple[str, Decoder]]] = {name: {} for name in catalogue.sources}
        self._seen: dict[int, Decoder] = {}
        self._spool_limit = {name: self._limit_of(name) for name in catalogue.sources}

    def list_sources(self) -> None:
        """List all sources into the catalogue. Raises UsageError for one without objects."""
        for name in self._catalogue.sources:
            before = self._objects
            self._catalogue.add_objects(self._counted(checked(self._sources[name].listing(), name)))
            if self._objects == before:
                what = ", ".join(map(printable, self._patterns[name])) or "its list"
                raise UsageError(f"source {name!r}: nothing matches {what}; check `sources.{name}.url`")
        self._progress(self._objects, self._bytes)

    def cut_objects(self, table: NewTable) -> None:
        """Write the objects in order, and put their chunks into the catalogue."""
        self._catalogue.add_chunks(
            (deal_key(self._job.seed, obj, offset), (obj, offset, length))
            for obj, offset, length in self._cuts(table)
        )
        table.finish(objects_header(self._digest.hexdigest(), self._objects))

    def deal_chunks(self, table: NewTable, part: dict[str, Any]) -> PlanHeader:
        """Write the chunks by shard, and the plan's header."""
        chunks = 0
        last: Chunk | None = None
        for chunk in deal(self._catalogue.chunks(), self._job.shards.target_size):
            counts = self._by_source[chunk.object.source]
            if not counts["chunks"]:
                counts["first_shard"] = chunk.shard
            counts["chunks"] += 1
            counts["shards"] = chunk.shard - counts["first_shard"] + 1
            table.add(chunk_row(chunk))
            chunks += 1
            last = chunk
        fingerprint = encoder_fingerprint(
            decoder for found in self._samples.values() for _, decoder in found.values()
        )
        objects_digest = self._digest.hexdigest()
        header = PlanHeader(
            digest=plan_digest(part, fingerprint, objects_digest),
            name=self._job.name,
            job=part,
            fingerprint=fingerprint,
            objects_digest=objects_digest,
            objects=self._objects,
            chunks=chunks,
            shards=last.shard + 1 if last else 0,
            source_bytes=self._bytes,
            by_source=self._by_source,
            unpinned=self._unpinned,
            samples={
                name: [path for path, _ in found.values()] for name, found in self._samples.items() if found
            },
        )
        table.finish(shards_header(header))
        return header

    def _counted(self, objects: Iterable[PinnedObject]) -> Iterator[PinnedObject]:
        for obj in objects:
            counts = self._by_source[obj.source]
            counts["objects"] += 1
            counts["bytes"] += obj.size
            self._objects += 1
            self._bytes += obj.size
            self._unpinned += not obj.version
            if self._objects % _PROGRESS_EVERY == 0:
                self._progress(self._objects, self._bytes)
            yield obj

    def _cuts(self, table: NewTable) -> Iterator[Cut]:
        last: PinnedObject | None = None
        for obj in self._catalogue.objects():
            if last is not None and (last.source, last.path) == (obj.source, obj.path):
                raise UsageError(
                    f"source {obj.source!r} lists {printable(obj.path)!r} twice; each object needs a path of"
                    " its own"
                )
            last = obj
            self._digest.add(obj)
            table.add(object_row(obj))
            decoder = self._decoders.of(obj.source, obj.path)
            self._sample(obj, decoder)
            read = partial(self._sources[obj.source].read_now, obj)
            yield from cut(obj, decoder, self._job.shards.chunk_size, self._spool_limit[obj.source], read)

    def _sample(self, obj: PinnedObject, decoder: Decoder) -> None:
        """Keep the first path of each fingerprint that the objects of a source need."""
        if id(decoder) not in self._seen:
            self._seen[id(decoder)] = decoder
            fingerprint = canonical_json(dict(decoder.fingerprint))
            self._samples[obj.source].setdefault(fingerprint, (obj.path, decoder))

    def _limit_of(self, source: str) -> int | None:
        """Bytes, or None for a source that is read in place."""
        in_place = isinstance(self._sources[source], LocalSource) and not self._job.sources[source].via
        return None if in_place else self._job.spool_limit
