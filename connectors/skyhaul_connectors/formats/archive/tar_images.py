"""Images of a tar in groups, as WebDataset has them: members that share a name up to its first dot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skyhaul_connectors.formats.archive.tar_members import Member
from skyhaul_connectors.formats.charsets.encodings import BadText
from skyhaul_connectors.formats.decoder import Account, RowBuffer
from skyhaul_connectors.formats.media.image import image_row
from skyhaul_connectors.formats.media.image_facts import ImageRules, NoImage
from skyhaul_connectors.formats.media.sidecar_text import SideCarText
from skyhaul_connectors.formats.media.sidecars import CAPTION_SUFFIXES, JSON_SUFFIX
from skyhaul_connectors.formats.protocol import Decoded
from skyhaul_connectors.formats.records.json_exact import BadJson
from skyhaul_schemas.printable import brief

GROUP_MEMBERS, GROUP_BYTES = 1024, 256 * 1024**2
"""Images, and bytes, that a group may hold before its images go on without the side-cars that may still come:
names with many dots put a whole archive into one group. Chosen, not measured."""


class TarImages:
    """Members in the archive's order to rows: each image of a group with the group's caption and JSON.

    A side-car may stand behind its images, so that these wait for the group's end. Groups are runs of
    members: a name that comes again later begins a new one, as in WebDataset.
    """

    def __init__(
        self, account: Account, buffer: RowBuffer, rules: ImageRules, side_cars: SideCarText
    ) -> None:
        self._account = account
        self._buffer = buffer
        self._rules = rules
        self._side_cars = side_cars
        self._stem = ""
        self._images: list[tuple[Member, bytes]] = []
        self._beside: dict[str, tuple[Member, bytes]] = {}
        self._held = 0
        self._flushed = False
        self._caption: str | None = None
        self._more: dict[str, Any] = {}

    def add(self, member: Member, body: bytes) -> Iterator[Decoded]:
        """Take the next member; yield the steps that become full."""
        stem, suffix = parted(member.name)
        if stem != self._stem:
            yield from self.rest()
            self._stem = stem
        elif len(self._images) >= GROUP_MEMBERS or (self._images and self._held + len(body) > GROUP_BYTES):
            yield from self._flush()
        if suffix != JSON_SUFFIX and suffix not in CAPTION_SUFFIXES:
            self._images.append((member, body))
            self._held += len(body)
        elif self._flushed:
            self._drift(member, body, "comes after more images than are held for their side-cars")
        elif suffix in self._beside:
            self._drift(member, body, "a second one beside the same images")
        else:
            self._beside[suffix] = (member, body)
            self._held += len(body)

    def rest(self) -> Iterator[Decoded]:
        """End the group; yield the steps that become full."""
        if self._images or self._flushed:
            yield from self._flush()
        else:
            for member, body in self._beside.values():
                self._drift(member, body, "beside no image")
        self._beside, self._held, self._flushed = {}, 0, False

    def _flush(self) -> Iterator[Decoded]:
        # Once a group: images that go on early and those that come later have the same caption.
        if not self._flushed:
            self._read_side_cars()
            self._flushed = True
        images, self._images = self._images, []
        self._held = 0
        for member, body in images:
            try:
                row = image_row(body, member.name, self._rules, self._caption, self._more)
                # A caption may be much longer than its image.
                held = sum(len(value) for value in row if isinstance(value, str | bytes))
                self._buffer.add(row, member.offset, member.size, held)
            except NoImage as no:
                self._account.reject(member.offset, member.size, f"{brief(member.name)}: {no}", body)
            if self._buffer.full:
                yield self._buffer.step()

    def _read_side_cars(self) -> None:
        """Read the caption, of several the first by suffix, and the JSON; what cannot be read is a reject."""
        # The name is what WebDataset calls a sample's `__key__`.
        self._caption, self._more = None, {"name": self._stem}
        chosen = next((suffix for suffix in CAPTION_SUFFIXES if suffix in self._beside), None)
        for suffix, (member, body) in self._beside.items():
            try:
                if suffix == JSON_SUFFIX:
                    self._more[JSON_SUFFIX] = self._side_cars.json(body)
                elif suffix == chosen:
                    self._caption = self._side_cars.text(body).strip()
            except (BadText, BadJson) as error:
                self._account.reject(member.offset, member.size, f"{brief(member.name)}: {error}", body)

    def _drift(self, member: Member, body: bytes, why: str) -> None:
        self._account.drift(member.offset, member.size, f"{brief(member.name)}: {why}", body)


def parted(name: str) -> tuple[str, str]:
    """Part a name at the first dot after its last slash; what follows the dot comes in lower case."""
    folder, slash, last = name.rpartition("/")
    first, _, suffix = last.partition(".")
    return folder + slash + first, suffix.lower()
