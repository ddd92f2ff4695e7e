"""A commit record's count of truncated images against the rows of its files."""

from __future__ import annotations

from collections.abc import Mapping

from skyhaul.shards.truncated_images import TruncatedImages
from skyhaul_schemas.commit import CommitRecord


def recount_of(record: CommitRecord) -> TruncatedImages | None:
    """What counts the rows anew; None where the record states nothing, or was written by a release that told
    truncated images otherwise, so that its count is not ours."""
    if record.truncated_by is None:
        return None
    from skyhaul_connectors.formats.media.image_facts import IMAGE_VERSION  # loads what tells media types

    if record.versions.get("skyhaul.image") != IMAGE_VERSION:
        return None
    return TruncatedImages()


def difference(record: CommitRecord, counted: TruncatedImages) -> str | None:
    """What is wrong with the record's count, where all rows were counted; None where nothing is."""
    stated, found = record.truncated_by or {}, counted.by_format()
    if stated == found:
        return None
    return f"its rows hold {_said(found)}, its commit record says {_said(stated)}"


def _said(by_format: Mapping[str, int]) -> str:
    told = ", ".join(f"{count} {kind}" for kind, count in by_format.items())
    return f"{told} truncated" if told else "no truncated image"
