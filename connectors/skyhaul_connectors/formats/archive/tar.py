"""Tar archives as containers: each regular file in it is decoded as an object of its own.

To `document`, `reading` and a schema of the job's own, a member is decoded by the format that its suffix
states, or by the one that `members: {format: …}` names, which takes that format's options, too. To `blob`,
each member becomes parts of at most 16 MiB. To `image`, members are grouped as WebDataset does, by the name
up to its first dot after the last slash: each image of a group, with the caption of its `.txt` or `.caption`,
and its `.json` in `metadata`, both decoded as format `text` does (`encoding`, a byte order mark, or UTF-8); a
side-car that cannot be read, or comes twice, is a reject and its images go without it.

Names are never paths; fields may take a member's name as `@path`. Offsets are those of the archive (of its
decompressed stream): the member's data plus the record's place in it, so compressed members are not opened;
compress the archive instead. A row of a table has its number for a place, and rows may be more than bytes:
then the next member's records are placed behind them, so that no two records have one place. A member may
have `max_member` bytes, a blob any number. Folders, links, devices and empty members are passed over, and
counted; so are, but to `blob`, what macOS leaves beside files (`._x`, `__MACOSX/`) and members whose names
begin with a dot: they are in no group and end none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field

from skyhaul_connectors.formats.archive.tar_images import TarImages
from skyhaul_connectors.formats.archive.tar_members import Member, members_of
from skyhaul_connectors.formats.bytes.byte_reader import ByteReader
from skyhaul_connectors.formats.bytes.chunk_bytes import BytesChunk, whole
from skyhaul_connectors.formats.bytes.compression import codec_of, open_stream
from skyhaul_connectors.formats.bytes.stream import Broken, PlainStream
from skyhaul_connectors.formats.bytes.stream_options import StreamOptions
from skyhaul_connectors.formats.declaration import MemberFormats
from skyhaul_connectors.formats.decoder import Account, RowBuffer, WholeObject
from skyhaul_connectors.formats.media.hidden_names import why_hidden
from skyhaul_connectors.formats.media.image_facts import IMAGE_VERSION, MAX_PIXELS, ImageRules, Truncated
from skyhaul_connectors.formats.media.media_type import HEAD, fingerprint, media_type
from skyhaul_connectors.formats.media.sidecar_text import SideCarText
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, DecodeSettings
from skyhaul_schemas.errors import ValueRefused
from skyhaul_schemas.job.model import Size
from skyhaul_schemas.printable import brief
from skyhaul_schemas.records import BLOB_PART_SIZE, schema_kind

EMPTY_MEMBER = "an empty member"
"""As a reason of what is passed over."""

_OFFSET = -2
"""The column of a record's place, as `decoded_schema` has it: by name there may be two, as a schema of the
job's own may have an `offset`."""

_VERSION = "2"
"""Raised whenever other members of an archive are taken for records; not in the fingerprint of blobs, which
leave none out."""


class TarOptions(StreamOptions):
    """Options of format `tar`.

    members: `format` and options of the members' format. max_member: bytes of a member at most.
    max_pixels, encoding and truncated: as for images."""

    of_schema: ClassVar[Mapping[str, str]] = {"encoding": "image", "truncated": "image"}

    members: dict[str, Any] = Field(default={})
    max_member: Size = Field(default=64 * 1024**2, ge=512)
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)
    encoding: str | None = None
    truncated: Truncated = "keep"


class TarDecoder(WholeObject):
    """Decoder of tar archives."""

    def __init__(self, settings: DecodeSettings, options: TarOptions, formats: MemberFormats) -> None:
        super().__init__(settings, options)
        self._formats = formats
        self._options = options
        self._side_cars = SideCarText(options.encoding)
        self._rules = ImageRules(options.max_pixels, options.truncated)
        inner = dict(options.members)
        self._format: str | None = inner.pop("format", None)
        self._inner = replace(settings, options=inner)
        self._in_members = settings.schema not in ("blob", "image")
        if self._in_members:
            if self._format == "tar":
                raise ValueRefused(
                    "decode option 'members': a tar inside a tar is not opened",
                    ("decode", "members", "format"),
                    "tar",
                    "another format: a tar inside a tar is not opened",
                )
            with _of_members():
                formats.check_options(self._format, self._inner)
        elif options.members:
            raise ValueRefused(
                f"decode option 'members' is not for schema {settings.schema}",
                ("decode", "members"),
                allowed="an option of the dataset's schema",
                of_key=True,
            )

    @property
    def fingerprint(self) -> Mapping[str, str]:
        found = {"pyarrow": pa.__version__}
        if self.settings.schema == "blob":
            found.update(fingerprint())
        else:
            found["skyhaul.tar"] = _VERSION
        if self.settings.schema == "image":
            found.update({"puremagic": version("puremagic"), "skyhaul.image": IMAGE_VERSION})
            found.update(self._side_cars.fingerprint)
        if self._in_members:
            found.update(self._formats.fingerprint_of(self._format, self._inner))
        return found

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        account = Account(self.settings, data.chunk)
        stream = open_stream(data, self._options) or PlainStream(data, 0, data.chunk.object.size)
        reader = ByteReader(stream)
        kind = schema_kind(self.settings.schema)
        take = {"blob": self._blobs, "image": self._images}.get(kind, self._members)
        try:
            yield from take(reader, data, account)
        except Broken as broken:
            # From where the member began to as far as the stream came.
            length = reader.end - reader.start
            account.damage(reader.start, length, broken.reason, reader.beginning[:length])
        if account.pending:
            yield account.step(self.empty())

    def _sound(self, reader: ByteReader, account: Account) -> Iterator[Member]:
        for member in members_of(reader):
            if member.passed_over is not None:
                account.pass_over(member.offset, member.passed_over)
                continue
            # Blobs are whatever is there. A member that the archive ends inside of is damage, whatever its
            # name.
            hidden = None if self.settings.schema == "blob" else why_hidden(member.name)
            if hidden is not None and not member.ends:
                account.pass_over(member.offset, hidden)
                continue
            if member.problem is None:
                yield member
                continue
            name = f"{brief(member.name)}: " if member.name else ""
            tell = account.damage if member.ends else account.reject
            tell(member.offset, member.size, name + member.problem, member.raw)

    def _body(self, reader: ByteReader, member: Member, account: Account) -> bytes | None:
        """Read a member; None after it was rejected."""
        # By what its header states, before any of it is held; the walk passes over it.
        if member.size > self._options.max_member:
            limit = self._options.max_member
            reason = f"{brief(member.name)}: {member.size} bytes, more than max_member of {limit}"
            account.reject(member.offset, member.size, reason, reader.ahead(64))
            return None
        body = reader.take(member.size)
        if len(body) < member.size:
            return None  # the archive's own end says so
        return body

    def _members(self, reader: ByteReader, data: ChunkBytes, account: Account) -> Iterator[Decoded]:
        # The first place that is free. Ids are made of places, and a table's rows have their numbers for
        # places, which may run beyond the member's bytes.
        free = 0
        for member in self._sound(reader, account):
            body = self._body(reader, member, account)
            if not body:
                if body is not None:
                    account.pass_over(member.offset, EMPTY_MEMBER)
                continue
            name = self._format or self._formats.format_of(member.name, self.settings.schema)
            # A place inside of a compressed member would be none of the archive's.
            if name is None or name == "tar" or codec_of(member.name) is not None:
                why = (
                    "its suffix states no format"
                    if name is None
                    else "an archive or stream inside the archive"
                )
                account.drift(member.offset, member.size, f"{brief(member.name)}: {why}", body)
                continue
            decoder = self._formats.decoder_for(self._format, self._inner, member.name)
            place = max(member.offset, free)
            inner = BytesChunk(body, whole(len(body), member.name, source=data.chunk.object.source))
            for step in decoder.decode(inner):
                for reject in step.rejects:
                    reason = f"{brief(member.name)}: {reject.reason}"
                    account.pass_on(place + reject.offset, reject.length, reason, reject.raw)
                for passed in step.passed_over:
                    account.pass_over(place + passed.offset, passed.reason, passed.count)
                for reason, count in step.nulled.items():
                    account.null_field(reason, count)
                # A damaged member damages its archive: the haul exits 3, though later members are read.
                if step.damaged:
                    account.mark_damaged()
                batch = self._placed(step.batch, place)
                if batch.num_rows:
                    free = batch.column(_OFFSET)[-1].as_py() + 1
                yield account.step(batch)

    def _placed(self, batch: pa.RecordBatch, place: int) -> pa.RecordBatch:
        index = batch.num_columns + _OFFSET
        moved = pa.array(batch.column(index).to_numpy() + place, pa.int64())
        return batch.set_column(index, batch.schema.field(index), moved)

    def _blobs(self, reader: ByteReader, data: ChunkBytes, account: Account) -> Iterator[Decoded]:
        buffer = RowBuffer(self.settings, self.schema, account)
        try:
            yield from self._parts(reader, account, buffer)
        except Broken:
            yield from buffer.rest()  # what lies before the damage stays
            raise
        yield from buffer.rest()

    def _parts(self, reader: ByteReader, account: Account, buffer: RowBuffer) -> Iterator[Decoded]:
        for member in self._sound(reader, account):
            name = member.name.rpartition("/")[2]
            parts = -(-member.size // BLOB_PART_SIZE)
            if not parts:
                account.pass_over(member.offset, EMPTY_MEMBER)
            kind = None
            for part in range(parts):
                start = part * BLOB_PART_SIZE
                wanted = min(BLOB_PART_SIZE, member.size - start)
                raw = reader.take(wanted)
                if len(raw) < wanted:
                    break  # the archive's own end says so
                # Told by the first part: the others are pieces of the same file.
                kind = media_type(raw[:HEAD], member.name) if part == 0 else kind
                buffer.add((name, raw, part, parts, kind), member.offset + start, len(raw))
                if buffer.full:
                    yield buffer.step()

    def _images(self, reader: ByteReader, data: ChunkBytes, account: Account) -> Iterator[Decoded]:
        buffer = RowBuffer(self.settings, self.schema, account)
        images = TarImages(account, buffer, self._rules, self._side_cars)
        try:
            for member in self._sound(reader, account):
                body = self._body(reader, member, account)
                if body is not None:
                    yield from images.add(member, body)
        except Broken:
            yield from images.rest()  # what lies before the damage stays
            yield from buffer.rest()
            raise
        yield from images.rest()
        yield from buffer.rest()


@contextmanager
def _of_members() -> Iterator[None]:
    """What is refused inside stands below `members`, without a `decode` of its own."""
    try:
        yield
    except ValueRefused as error:
        if error.where[:1] == ("decode",):
            error.where = error.where[1:]
        if error.where[:1] != ("fields",):
            error.where = ("decode", "members", *error.where)
        raise
