"""Files that make a record each, with captions from a list or from side-cars beside them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field

from skyhaul_connectors.formats.bytes.compression import open_stream
from skyhaul_connectors.formats.bytes.stream import PlainStream
from skyhaul_connectors.formats.bytes.stream_options import StreamOptions
from skyhaul_connectors.formats.bytes.whole_body import read_whole
from skyhaul_connectors.formats.charsets.encodings import BadText
from skyhaul_connectors.formats.decoder import Account, RowBuffer, WholeObject
from skyhaul_connectors.formats.media.captions import Captions
from skyhaul_connectors.formats.media.hidden_names import APPLE_DOUBLE, DOT_NAME, is_apple_double, is_dot_name
from skyhaul_connectors.formats.media.sidecar_text import SideCarText
from skyhaul_connectors.formats.media.sidecars import (
    BESIDE,
    CAPTION_SUFFIXES,
    JSON_SUFFIX,
    is_side_car,
    parted,
)
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, DecodeSettings
from skyhaul_connectors.formats.records.json_exact import BadJson
from skyhaul_schemas.errors import ValueRefused
from skyhaul_schemas.job.model import Size
from skyhaul_schemas.records import EMPTY_OBJECT

_BESIDE_VERSION = "1"
"""Raised whenever equal side-cars are joined in another way."""


class NotOne(ValueError):
    """Bytes that are not taken as a file of the kind; the message says why."""


class CaptionOptions(StreamOptions):
    """Where captions come from.

    captions: path or URL of a list of captions, or `beside`. max_caption: bytes of a side-car at most.
    encoding: of side-cars: a name that Python knows, or `detect`."""

    captions: str | None = Field(default=None, min_length=1)
    max_caption: Size = Field(default=1024**2, ge=1)
    encoding: str | None = None


class CaptionedFile(WholeObject):
    """Decoder of files that make a record each, and take a caption from what lies beside them."""

    what: ClassVar[str]
    """What its files are, for messages: `image`."""
    cap: ClassVar[str]
    """The option that says how many bytes a file may have."""

    def __init__(self, settings: DecodeSettings, options: CaptionOptions, most: int) -> None:
        super().__init__(settings, options)
        self._options = options
        self._most = most
        if settings.fields:
            said = f"an {self.what} file has no columns to map"
            raise ValueRefused(f"fields: {said}", ("fields",), settings.fields, f"none: {said}")
        self._beside = options.captions == BESIDE
        listed = None if self._beside else options.captions
        self.captions = Captions(listed, self.what) if listed is not None else None
        self._side_cars = SideCarText(options.encoding)

    @property
    def fingerprint(self) -> Mapping[str, str]:
        found = {
            "puremagic": version("puremagic"),
            "pyarrow": pa.__version__,
            **self.facts_fingerprint,
            **self._side_cars.fingerprint,
        }
        if self.captions is not None:
            # By the list's place, so that a worker that refuses to start names the list that has changed.
            found[f"captions {self._options.captions}"] = self.captions.sha256
        if self._beside:
            found["captions beside"] = _BESIDE_VERSION
        return found

    @property
    @abstractmethod
    def facts_fingerprint(self) -> Mapping[str, str]:
        """Versions of what tells facts of a file."""

    @abstractmethod
    def is_one(self, raw: bytes, path: str) -> bool:
        """Whether the bytes are such a file's by their type."""

    @abstractmethod
    def row(self, raw: bytes, path: str, caption: str | None, more: Mapping[str, Any]) -> tuple[Any, ...]:
        """The body of a file's record; `more` goes to its metadata. Raises NotOne."""

    def group_of(self, path: str) -> str | None:
        return parted(path)[0] if self._beside else None

    def adds(self, path: str) -> bool:
        return self._beside and is_side_car(path)

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        return (step for _, step in self.decode_group([data]))

    def decode_group(self, members: Sequence[ChunkBytes]) -> Iterator[tuple[int, Decoded]]:
        # One each, since a member's rejects and damage are its own.
        accounts = [Account(self.settings, data.chunk) for data in members]
        if is_apple_double(members[0].chunk.object.path):  # so are all that share its name
            for place, account in enumerate(accounts):
                account.pass_over(0, APPLE_DOUBLE)
                yield place, account.step(self.empty())
            return
        side_cars = [self.adds(data.chunk.object.path) for data in members]
        caption: str | None = None
        more: dict[str, Any] = {}
        for suffix, place in _chosen(members, side_cars):
            raw = self._read(members[place], accounts[place], self._options.max_caption, "max_caption")
            if raw is None:
                continue
            # Beside no file a side-car fits no record; but what a dot hides is no part of the collection.
            if all(side_cars) and is_dot_name(members[place].chunk.object.path):
                accounts[place].pass_over(0, DOT_NAME)
                continue
            if all(side_cars):
                accounts[place].drift(0, len(raw), f"beside no {self.what}", raw)
                continue
            try:
                if suffix == JSON_SUFFIX:
                    more[JSON_SUFFIX] = self._side_cars.json(raw)
                else:
                    caption = self._side_cars.text(raw).strip()
            except (BadText, BadJson) as error:
                accounts[place].reject(0, len(raw), str(error), raw)
        # After all side-cars, which may stand behind their files, and in the members' order (`Joins`).
        for place, data in enumerate(members):
            if not side_cars[place]:
                yield from ((place, step) for step in self._file(data, accounts[place], caption, more))
            elif accounts[place].pending:
                yield place, accounts[place].step(self.empty())

    def _file(
        self, data: ChunkBytes, account: Account, caption: str | None, more: Mapping[str, Any]
    ) -> Iterator[Decoded]:
        buffer = RowBuffer(self.settings, self.schema, account)
        raw = self._read(data, account, self._most, self.cap)
        if raw is not None and not raw:
            account.pass_over(0, EMPTY_OBJECT)
        # Such a file is taken all the same: `url` has asked for it, and its bytes say more than its name.
        elif raw and is_dot_name(data.chunk.object.path) and not self.is_one(raw, data.chunk.object.path):
            account.pass_over(0, DOT_NAME)
        elif raw:
            try:
                path = data.chunk.object.path
                if self.captions is not None:
                    caption = self.captions.of(path)
                buffer.add(self.row(raw, path, caption, more), 0, len(raw))
            except NotOne as no:
                account.reject(0, len(raw), str(no), raw)
        yield from buffer.rest()

    def _read(self, data: ChunkBytes, account: Account, cap: int, cap_name: str) -> bytes | None:
        """The object, decompressed; None after it was rejected."""
        stream = open_stream(data, self._options) or PlainStream(data, 0, data.chunk.object.size)
        return read_whole(stream, cap, cap_name, account)


def _chosen(members: Sequence[ChunkBytes], side_cars: Sequence[bool]) -> Iterator[tuple[str, int]]:
    """Yield (suffix, place) of the side-cars that are read, in their members' order.

    Of those with a caption that is the first by suffix; all of them are read if there is no file to take it,
    so that each is reported.
    """
    found = [(parted(m.chunk.object.path)[1], place) for place, m in enumerate(members) if side_cars[place]]
    if len(found) == len(members):
        yield from found
        return
    captions = (at for suffix in CAPTION_SUFFIXES for at in found if at[0] == suffix)
    texts = (at for at in found if at[0] == JSON_SUFFIX)
    yield from sorted(filter(None, (next(captions, None), next(texts, None))), key=lambda at: at[1])
