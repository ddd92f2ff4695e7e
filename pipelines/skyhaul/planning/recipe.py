"""What a worker needs of a job and its plan in order to encode; small, picklable, without secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from skyhaul.planning.decoders import Decoders, SourceFormat, source_formats
from skyhaul.shards.foreign_code.map_records import MapRecords
from skyhaul.shards.transform_step import Transform
from skyhaul.transforms import build_transforms, check_transforms
from skyhaul_connectors.formats.protocol import Decoder
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.fieldtypes import Ceiling
from skyhaul_schemas.job.model import Job
from skyhaul_schemas.job.transforms import TransformSpec
from skyhaul_schemas.plan import PlanHeader
from skyhaul_schemas.plugins import check_installed
from skyhaul_schemas.records import RecordSchema


@dataclass(frozen=True)
class Recipe:
    """How bytes of a plan become shards.

    Sizes in bytes, uncompressed."""

    plan: str
    """Its digest."""
    schema: RecordSchema
    seed: int
    formats: Mapping[str, SourceFormat]
    splits: Mapping[str, float]
    """Name -> share, by name."""
    row_group_size: int
    file_size: int
    codec: str
    level: int | None
    """Of the codec, or None."""
    on_damage: str
    on_drift: str
    ceilings: Mapping[str, Ceiling]
    """Source -> what it may reject."""
    rules: Mapping[str, tuple[TransformSpec, ...]] = field(default_factory=dict)
    """Source -> the transforms of its records, its own and the job's."""
    map_records: MapRecords | None = None
    """A program's own code, behind the transforms."""
    _decoders: Decoders = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_decoders", Decoders(self.formats))

    @classmethod
    def of(cls, job: Job, header: PlanHeader, map_records: MapRecords | None = None) -> Recipe:
        """The recipe of `job` under the plan with `header`.

        Builds the decoders that the plan needs, so that bad options are found here.

        Args:
            job: The job.
            header: The plan's.
            map_records: The program's own code, where it has some. Whether the plan was made with it is for
                `check_fingerprint` to say.

        Raises:
            UsageError: An option is bad.
            PlugInMissing: A package that the plan was made with is not here.
        """
        check_installed(header.fingerprint)
        codec, level = job.shards.codec
        recipe = cls(
            plan=header.digest,
            schema=job.schema_,
            seed=job.seed,
            formats=source_formats(job),
            splits=dict(sorted(job.shards.splits.items())),
            row_group_size=job.shards.row_group_size,
            file_size=job.shards.file_size,
            codec=codec,
            level=level,
            on_damage=job.on_damage,
            on_drift=job.on_drift,
            ceilings={
                name: ceiling
                for name, spec in job.sources.items()
                if (ceiling := spec.max_rejects or job.max_rejects) is not None
            },
            rules=rules_of(job),
            map_records=map_records,
        )
        check_transforms(job)
        # The header has one path for each kind of decoder that its objects need, so that a worker builds
        # them all without reading the plan's objects.
        for source, paths in header.samples.items():
            for path in paths:
                recipe.decoder(source, path)
        return recipe

    def decoder(self, source: str, path: str) -> Decoder:
        """The decoder of one object; built once for each kind of name. Raises UsageError."""
        return self._decoders.of(source, path)

    def plug_ins(self, sources: Iterable[str]) -> dict[str, str]:
        """The packages whose formats `sources` use, as a fingerprint states them."""
        return self._decoders.plug_ins(sources)

    def transforms(self, source: str) -> list[Transform]:
        """The transforms of one shard of `source`, anew for each shard: some remember what they have seen.

        Raises:
            UsageError: A rule does not fit the schema."""
        # `deduplicate` remembers records: one that outlived a shard would make it depend on those before it.
        try:
            return build_transforms(self.rules.get(source, ()), self.schema)
        except UsageError as error:
            raise UsageError(f"source {source!r}: {error}") from error

    def __getstate__(self) -> dict[str, Any]:
        # Decoders may hold what cannot be pickled; the copy builds its own.
        return {key: value for key, value in self.__dict__.items() if key != "_decoders"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        object.__setattr__(self, "_decoders", Decoders(self.formats))


def rules_of(job: Job) -> dict[str, tuple[TransformSpec, ...]]:
    """Source -> its rules, then the job's."""
    # A source's own first: what holds for all sources then sees the source's records as it wants them.
    return {name: (*spec.transforms, *job.transforms) for name, spec in job.sources.items()}
