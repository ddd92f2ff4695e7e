"""The plan itself, generation after generation: what it pins and what it drops make its digests."""

from __future__ import annotations

from skyhaul.planning.store.generation import Generation
from skyhaul.planning.store.plan import Plan, place_of
from skyhaul.planning.store.plan_digest import ObjectsDigest, RowsDigest
from skyhaul.verification.findings import VerifyReport
from skyhaul.verification.partition import Partition
from skyhaul_schemas import layout
from skyhaul_schemas.plan import Chunk


def check_plan_rows(plan: Plan, partition: Partition, report: VerifyReport) -> None:
    """Add findings for a plan whose objects do not make its digests, are out of order, or of another number.

    Every object that was ever pinned, and every chunk that was dropped, goes into `partition`."""
    count = size = 0
    for generation in plan.generations:
        pinned, pinned_size = _check_objects(generation, partition, report)
        dropped, dropped_size = _check_rows(generation, partition, report)
        count += pinned - dropped
        size += pinned_size - dropped_size
    header = plan.header
    if (count, size) != (header.objects, header.source_bytes):
        report.add(
            "plan-counts",
            f"the plan holds {count} objects of {size} bytes, its header says {header.objects} of"
            f" {header.source_bytes}",
            path=layout.objects_file(header.generation),
        )


def _check_objects(generation: Generation, partition: Partition, report: VerifyReport) -> tuple[int, int]:
    """Objects and bytes that the generation pins."""
    digest, count, size = ObjectsDigest(), 0, 0
    last = (b"", b"")
    disorder = False
    for obj in generation.objects():
        digest.add(obj)
        partition.add_object(obj)
        place = place_of(obj)
        # Strictly rising, so that one comparison with the last one finds doubles, too.
        disorder |= place <= last
        last = place
        count += 1
        size += obj.size
    path = layout.objects_file(generation.number)
    if digest.hexdigest() != generation.header.objects_digest:
        report.add("plan-digest", "the plan's objects do not make its digest: they were changed", path=path)
    if disorder:
        report.add("plan-order", "the plan's objects are not in order, or one is there twice", path=path)
    return count, size


def _check_rows(generation: Generation, partition: Partition, report: VerifyReport) -> tuple[int, int]:
    """Objects (by their first byte) and bytes that the generation drops."""
    # The rows of the first generation follow from its objects, seed and sizes, and have no digest.
    if not generation.number:
        return 0, 0
    rows, count, size = RowsDigest(), 0, 0
    for chunk in generation.rows():
        rows.add(chunk)
    for dropped in generation.dropped():
        rows.drop(dropped)
        partition.add_chunk(Chunk(dropped.taken_from, 0, dropped.object, dropped.offset, dropped.length))
        # An object is counted with its first chunk, here as where commits are counted.
        count += dropped.offset == 0
        size += dropped.length
    if rows.hexdigest() != generation.header.rows_digest:
        report.add(
            "plan-digest",
            f"the chunks of generation {generation.number} do not make the plan's digest: they were changed",
            path=layout.shards_file(generation.number),
        )
    return count, size
