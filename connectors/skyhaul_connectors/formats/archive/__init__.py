"""Tar archives of samples."""

from __future__ import annotations

from skyhaul_connectors.formats.declaration import Format, Implementation


def _tar() -> Implementation:
    from skyhaul_connectors.formats.archive.tar import TarDecoder, TarOptions

    return Implementation(TarOptions, TarDecoder)


TAR = Format(
    name="tar",
    about="an archive of objects, each decoded by its own suffix",
    schemas=("document", "reading", "image", "blob", "own"),
    suffixes=(".tar",),
    load=_tar,
    archive=True,
)
