"""What a format says of itself: its name, what it reads and gives, and where its decoder is.

A package declares its own formats so in its `__init__`; an installed package's is found by its entry point
in the group `skyhaul.formats` (see `skyhaul_schemas.plugins`). Declarations are light: libraries are imported
by `load`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from skyhaul_connectors.formats.options import FormatOptions
    from skyhaul_connectors.formats.protocol import Decoder


class Implementation(NamedTuple):
    """The options and the decoder of a format.

    Attributes:
        options: The model of what `decode:` of a source may say.
        decoder: Called as `decoder(settings, options)` with DecodeSettings and an instance of `options`, as
            `decoder(settings, options, formats)` for an archive; gives a Decoder. Its class's docstring and
            that of its module are the format's documentation. May raise UsageError for options that do not
            fit each other or the schema.
    """

    options: type[FormatOptions]
    decoder: Callable[..., Decoder]


@dataclass(frozen=True, slots=True)
class Format:
    """The declaration of one format.

    Attributes:
        name: As `format:` of a source writes it: lower case, one word.
        about: What it reads, in a few words, for lists.
        schemas: The record schemas that it can give: some of `document`, `reading`, `image`, `audio`,
            `blob`, and `own`: one that the job declares, filled by a FieldMap.
        suffixes: Of the names of objects of this format, in lower case and with their dot, compression
            suffixes (`.gz`) taken off. Those of built-in formats choose the format where a job names none;
            a plug-in is used where a job names it.
        load: Gives the implementation; called when a job first uses the format, so it may import what is
            heavy.
        archive: Its objects hold objects of other formats, so its decoder gets a MemberFormats, too.
    """

    name: str
    about: str
    schemas: tuple[str, ...]
    suffixes: tuple[str, ...]
    load: Callable[[], Implementation]
    archive: bool = False


@dataclass(frozen=True, slots=True)
class MemberFormats:
    """What the decoder of an archive may ask about the formats of its members.

    These are functions of the registry, handed over because it imports the decoders and not the other way
    round.

    Attributes:
        format_of: (path, schema) -> name of the format that the suffix states, or None; the schema as in
            DecodeSettings.
        decoder_for: (format or None, settings, path) -> the member's decoder.
        check_options: (format or None, settings); raises UsageError.
        fingerprint_of: (format or None, settings) -> library -> version.
    """

    format_of: Callable[[str, Any], str | None]
    decoder_for: Callable[[str | None, Any, str], Decoder]
    check_options: Callable[[str | None, Any], None]
    fingerprint_of: Callable[[str | None, Any], dict[str, str]]
