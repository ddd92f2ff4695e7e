"""The decoders of a job's sources, each built once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from skyhaul_connectors.formats.protocol import Decoder, DecodeSettings, ReadsAhead, Selective
from skyhaul_connectors.formats.registry import (
    check_name,
    check_options,
    decoder_for,
    format_under,
    plug_in_fingerprint,
)
from skyhaul_connectors.sources.opening import opener_fingerprint
from skyhaul_schemas.errors import UsageError, ValueRefused
from skyhaul_schemas.job.model import Job
from skyhaul_schemas.printable import printable


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """How one source is decoded."""

    format: str | None
    """Its name, or None for each object's suffix to decide."""
    settings: DecodeSettings
    opener: Mapping[str, str] = field(default_factory=dict)
    """The package whose plug-in opens the source, as a fingerprint states it."""


def source_formats(job: Job) -> dict[str, SourceFormat]:
    """Source -> how the job says it is decoded."""
    return {
        name: SourceFormat(
            spec.format,
            DecodeSettings(
                schema=job.schema_,
                fields=dict(spec.fields),
                options=dict(spec.decode),
                on_damage=job.on_damage,
                on_drift=job.on_drift,
            ),
            opener_fingerprint(name, spec),
        )
        for name, spec in job.sources.items()
    }


class Decoders:
    """Decoders by source and format. Safe among threads: at worst a decoder is built twice."""

    def __init__(self, formats: Mapping[str, SourceFormat]) -> None:
        self._formats = formats
        self._built: dict[tuple[str, str | None], Decoder] = {}

    def check(self) -> None:
        """Raise UsageError for options that no object could be decoded with."""
        # Before listing, which may take long; an object's own format is known only then.
        for source, spec in self._formats.items():
            with _named(source):
                check_name(spec.format)
                check_options(spec.format, spec.settings)

    def of(self, source: str, path: str) -> Decoder:
        """The decoder of one object. Raises UsageError that names the source."""
        spec = self._formats.get(source)
        if spec is None:
            raise UsageError(f"the job file has no source {printable(source)!r}, but the plan does")
        # Of the path a decoder knows no more than the format that it states.
        key = (source, spec.format or format_under(spec.settings, path))
        decoder = self._built.get(key)
        if decoder is None:
            with _named(source):
                decoder = self._built[key] = decoder_for(spec.format, spec.settings, path)
        return decoder

    def plug_ins(self, sources: Iterable[str]) -> dict[str, str]:
        """The packages whose formats or schemes `sources` name, as a fingerprint states them."""
        found: dict[str, str] = {}
        for source in sources:
            found.update(self._formats[source].opener)
            found.update(plug_in_fingerprint(self._formats[source].format))
        return found


@contextmanager
def _named(source: str) -> Iterator[None]:
    try:
        yield
    except ValueRefused as error:
        raise error.below("sources", source, said=f"source {source!r}: ") from error
    except UsageError as error:
        raise UsageError(f"source {source!r}: {error}") from error


# What decoders may do beyond what each one must, by their class. A plan asks for every object, and asking a
# protocol takes longer than all else that planning does with one; so a no is remembered, and only where the
# answer may be yes is the protocol asked.
_selective: dict[type, bool] = {}
_reads_ahead: dict[type, bool] = {}


def may_select(decoder: Decoder) -> bool:
    """Whether the decoder may be `Selective`; False is certain."""
    kind = type(decoder)
    if kind not in _selective:
        _selective[kind] = isinstance(decoder, Selective)
    return _selective[kind]


def may_read_ahead(decoder: Decoder) -> bool:
    """Whether the decoder may be one that `ReadsAhead`; False is certain."""
    kind = type(decoder)
    if kind not in _reads_ahead:
        _reads_ahead[kind] = isinstance(decoder, ReadsAhead)
    return _reads_ahead[kind]
